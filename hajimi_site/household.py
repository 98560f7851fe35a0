"""Puts one process's house together, runs what goes on in its background, and takes it down again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.conf import settings
from django.db import connections
from django.utils import timezone

from hajimi_site import backups, running
from hajimi_site.counts import SharedCounts
from keys import vault
from keys.ledger import Ledger
from keys.ledger.memory import MemoryLedger
from keys.members import Doorkeeper, MemberView
from keys.pool import Lease, Pool, PoolKey
from keys.rules import Verdict
from proxy import revision
from proxy.api import House
from proxy.journal import Change, Journal
from proxy.live import Live
from proxy.probe import keep_models_fresh, places
from proxy.recount import newly_limited, recount, used_today
from proxy.relay import Relay
from proxy.retention import keep_pruned
from proxy.runtime import Runtime, RuntimeHolder, keep_secret
from proxy.signatures import Signatures
from proxy.upstream.reach import Reach
from proxy.upstream.ways import serves

if TYPE_CHECKING:
    from hajimi_site.sharing import Sharing

RESTART_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Household:
    """The house and its background tasks. ``start`` and ``stop`` once each, in one event loop."""

    def __init__(self) -> None:
        self.sharing: Sharing | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys_changed = asyncio.Event()
        self._members: Mapping[str, MemberView] = {}
        self._held = contextlib.ExitStack()
        self._backups = backups.plan()

    async def start(self) -> House:
        """Read the database and return the house, ready to serve. Raises django.db's errors."""
        if database := backups.database_file():
            self._held.enter_context(running.present_at(database))
        await asyncio.to_thread(_closing, vault.unlock)
        runtime = RuntimeHolder(before_reads=running.Presence().keep)
        await runtime.start()
        self.house = self._built(runtime, await self._ledger())
        self._members = runtime.current.members
        self.counts = SharedCounts(self.house, settings.COUNTS_DIR)
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
        self.counts.write()
        await self._reach.aclose()
        self.house.signatures.close()
        await asyncio.to_thread(self.house.recorder.close)
        # Of many processes the last one to end is the supervisor, which has the last word.
        if self._backups is not None and settings.WORKERS == 1:
            await asyncio.to_thread(backups.back_up_at_the_end, self._backups)
        self._held.close()
        if self.sharing is not None:
            revision.unlisten(self._tell_revision)
            await self.sharing.stop()

    async def _ledger(self) -> Ledger:
        """Return the ledger, put where the database says it stood. Raises ImproperlyConfigured without its Redis."""
        if not settings.REDIS_URL:
            ledger = MemoryLedger()
            await asyncio.to_thread(_closing, lambda: _read_in(ledger))
            return ledger
        alone = settings.REDIS_AWAY == "alone"
        # Its libraries take six megabytes that a house of one process never needs.
        from hajimi_site.sharing import Sharing

        self.sharing = Sharing(settings.REDIS_URL, settings.REDIS_PREFIX, alone=alone, listeners=self._listeners())
        await self.sharing.start()
        revision.listen(self._tell_revision)
        return self.sharing.ledger

    def _listeners(self) -> dict[str, Callable[..., None]]:
        """Return what is done at the news of other processes."""
        return {
            "revision": lambda: self.house.runtime.wake(),
            "room": lambda: self.house.pool.look_again(),
            "guess": lambda place, _: self.house.doorkeeper.hear_guess(place, time.time()),
            "proven": lambda place, digest: self.house.doorkeeper.hear_proven(place, digest),
        }

    def _tell_revision(self) -> None:
        if self.sharing is not None:
            self.sharing.news.tell("revision")

    def _built(self, runtime: RuntimeHolder, ledger: Ledger) -> House:
        pool = Pool(ledger, serves)
        self._reach = Reach(places())

        def on_changes_written(changes: Sequence[Change], number: int) -> None:
            pool.confirm(changes, number)
            self._tell_revision()

        journal = Journal(on_changes_written, bound=settings.JOURNAL_LIMIT)
        sharing = self.sharing
        signatures = Signatures(shelf=sharing.shelf if sharing else None)
        doorkeeper = Doorkeeper(tell=sharing.news.tell if sharing else None)
        live = Live(time.time())
        relay = Relay(pool, ledger, journal, self._reach.ways, signatures, timezone.get_default_timezone(), live=live)
        return House(runtime, pool, ledger, journal, doorkeeper, relay, signatures, self._reach.client, live=live)

    def _take_over(self, runtime: Runtime) -> None:
        keep_secret(runtime)
        behaviour = runtime.behaviour
        self.house.pool.replace(
            runtime.keys,
            runtime.parks,
            daily_limit=behaviour.api_key_daily_limit,
            most_at_once=behaviour.max_concurrent_per_key,
            revision=runtime.revision,
        )
        self._keys_changed.set()
        limited = newly_limited(self._members, runtime.members)
        self._members = runtime.members
        if limited:
            task = asyncio.get_running_loop().create_task(self._catch_up(limited), name="catch up")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, limited: Sequence[MemberView]) -> None:
        """Let new limits of these members count what they have used today: until now nobody counted it."""
        now = timezone.now()
        try:
            for window, used in await asyncio.to_thread(_closing, lambda: used_today(limited, now)):
                await self.house.ledger.raise_to(window, used, now.timestamp())
        except Exception:
            logger.exception("New limits of members count from now on: what they had used today could not be read")

    def _keep_running(self) -> None:
        house = self.house
        if ours := self._backups:
            self._keep_once("backups", lambda: backups.keep_backed_up(ours))
        self._keep_once("recordings", house.recorder.keep_pruned)
        self._keep("runtime", lambda: house.runtime.watch(self._take_over))
        if settings.COUNTS_DIR is not None:
            self._keep("counts", self.counts.keep)
        if self.sharing is not None:
            self._keep("news", self.sharing.news.listen)
            self._keep("leadership", self.sharing.leadership.keep)
            self._keep("ledger", self.sharing.ledger.keep)
        self._keep_once("retention", lambda: keep_pruned(lambda: house.runtime.current.behaviour.log_retention_days))
        self._keep_once(
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

    def _keep_once(self, name: str, begin: Callable[[], Awaitable[Any]]) -> None:
        """Keep up what one process does for all."""
        if self.sharing is None:
            self._keep(name, begin)
        else:
            leadership = self.sharing.leadership
            self._keep(name, lambda: leadership.lead(begin))

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
    recount(ledger, timezone.now())


def _closing(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread that ends with it, and its connections with the thread."""
    try:
        return work()
    finally:
        connections.close_all()
