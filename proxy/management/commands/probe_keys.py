"""Asks Google about every key, for free, and says what it found."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand

from keys.models import Key
from keys.pool import PoolKey
from proxy import probe, runtime


class Command(BaseCommand):
    help = "Probe the enabled keys and those that Google's answer has disabled; uses up no quota."

    def handle(self, *args: Any, **options: Any) -> None:
        hopeful = Key.objects.filter(disabled_by__in=("", Key.DisabledBy.GOOGLE))
        ids = set(hopeful.values_list("pk", flat=True))
        keys = [key for key in runtime.load().keys if key.id in ids]
        probes = asyncio.run(_ask(keys))
        for key, probed in probes:
            answer = f"{len(probed.models)} models" if probed.verdict is None else probed.verdict.message
            self.stdout.write(f"{key.id} …{key.tail}: {answer}")
        settled = probe.settle(probes)
        self.stdout.write(f"{len(probes)} keys probed: {settled.revived} brought back, {settled.disabled} disabled.")


async def _ask(keys: list[PoolKey]) -> list[tuple[PoolKey, probe.Probed]]:
    async with httpx.AsyncClient() as client:
        return await probe.probe_all(client, settings.GEMINI_BASE_URL, keys)
