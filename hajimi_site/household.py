"""Puts one process's house together, runs what goes on in its background, and takes it down again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from django.conf import settings
from django.db import connections
from django.utils import timezone

from keys import vault
from keys.ledger.memory import MemoryLedger
from keys.members import Doorkeeper
from keys.pool import Lease, Pool, PoolKey
from keys.rules import Verdict
from proxy.api import House
from proxy.journal import Journal
from proxy.probe import keep_models_fresh
from proxy.recount import recount
from proxy.relay import Relay
from proxy.retention import keep_pruned
from proxy.runtime import Runtime, RuntimeHolder
from proxy.signatures import Signatures
from proxy.upstream.ai_studio import AiStudio
from proxy.upstream.client import Wire

RESTART_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Household:
    """The house and its background tasks. ``start`` and ``stop`` once each, in one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys_changed = asyncio.Event()

    async def start(self) -> House:
        """Read the database and return the house, ready to serve. Raises django.db's errors."""
        runtime = RuntimeHolder()
        await runtime.start()
        ledger = MemoryLedger()
        await asyncio.to_thread(_read_in, ledger)
        self.house = self._built(runtime, ledger)
        self._take_over(runtime.current)
        self.house.journal.start()
        self._keep_running()
        self.house.ready = True
        return self.house

    async def stop(self) -> None:
        """End the background, write what is queued, close what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.house.journal.stop()
        await self.house.upstream.aclose()
        self.house.signatures.close()

    def _built(self, runtime: RuntimeHolder, ledger: MemoryLedger) -> House:
        pool, wire = Pool(ledger), Wire(settings.GEMINI_BASE_URL)
        journal = Journal(pool.confirm)
        upstream = AiStudio(wire, settings.GEMINI_BASE_URL)
        signatures = Signatures()
        relay = Relay(pool, ledger, journal, upstream, signatures, timezone.get_default_timezone())
        return House(runtime, pool, ledger, journal, Doorkeeper(), relay, signatures, wire.client)

    def _take_over(self, runtime: Runtime) -> None:
        limit = runtime.behaviour.api_key_daily_limit
        self.house.pool.replace(runtime.keys, runtime.parks, daily_limit=limit, revision=runtime.revision)
        self._keys_changed.set()

    def _keep_running(self) -> None:
        house = self.house
        self._keep("runtime", lambda: house.runtime.watch(self._take_over))
        self._keep("retention", lambda: keep_pruned(lambda: house.runtime.current.behaviour.log_retention_days))
        self._keep(
            "models",
            lambda: keep_models_fresh(
                house.upstream,
                settings.GEMINI_BASE_URL,
                lambda: house.runtime.current.keys,
                self._judge,
                self._keys_changed,
            ),
        )

    def _judge(self, key: PoolKey, verdict: Verdict) -> None:
        """Apply what a probe found out about a key, and write it down."""
        change = self.house.pool.judge(Lease(key, ""), verdict, time.time())
        if change is not None:
            self.house.journal.post([change])

    def _keep(self, name: str, begin: Callable[[], Awaitable[Any]]) -> None:
        task = asyncio.get_running_loop().create_task(_kept(name, begin), name=name)
        self._tasks.add(task)


async def _kept(name: str, begin: Callable[[], Awaitable[Any]]) -> None:
    """Run a background task for ever: one that fails is begun again, for nobody would notice its end."""
    while True:
        try:
            await begin()
        except Exception:
            logger.exception("The background task %s failed; it begins again in %g s", name, RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)


def _read_in(ledger: MemoryLedger) -> None:
    try:
        vault.unlock()
        recount(ledger, timezone.now())
    finally:
        connections.close_all()
