"""Asks Google about every key, for free, and says what it found."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from keys import vault
from keys.management.documents import add_json_option, tell
from keys.models import Key
from keys.pool import PoolKey
from proxy import probe, runtime


class Command(BaseCommand):
    help = "Probe the enabled keys and those that Google's answer has disabled; uses up no quota."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        hopeful = Key.objects.filter(disabled_by__in=("", Key.DisabledBy.GOOGLE))
        ids = set(hopeful.values_list("pk", flat=True))
        known = runtime.load()
        # A probe judges what Google says here, and Google may quote a key.
        vault.unlock()
        runtime.keep_secret(known)
        keys = [key for key in known.keys if key.id in ids]
        probes = asyncio.run(probe.ask_all(keys, probe.places()))
        settled = probe.settle(probes)
        if not options["json"]:
            for key, probed in probes:
                self.stdout.write(f"{key.id} …{key.tail}: {_answer(probed)}")
        told = {
            "keys": [_document(key, probed) for key, probed in probes],
            "brought_back": settled.revived,
            "disabled": settled.disabled,
        }
        counts = f"{settled.revived} brought back, {settled.disabled} disabled."
        tell(self, options, told, f"{len(probes)} keys probed: {counts}")


def _answer(probed: probe.Probed) -> str:
    return f"{len(probed.models)} models" if probed.verdict is None else probed.verdict.message


def _document(key: PoolKey, probed: probe.Probed) -> dict[str, Any]:
    good = probed.verdict is None
    return {"id": key.id, "key": f"…{key.tail}", "good": good, "models": len(probed.models), "answer": _answer(probed)}
