"""Takes one snapshot a second for everybody who watches in this process; while nobody does, nothing runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

from channels.layers import BaseChannelLayer
from django.db import Error, connections
from django.utils import timezone

from keys.standing import KeyStanding
from proxy.api_request import House
from proxy.catalogue import knows
from proxy.dashboard.access import may_watch
from proxy.dashboard.neighbours import Neighbours
from proxy.dashboard.parts import Part, Tally, merged, part_of
from proxy.dashboard.reading import Reading, last_hour, today
from proxy.dashboard.snapshot import PoolPicture, compose, encoded, hour, pool_picture
from proxy.runtime import Runtime
from proxy.translation.profiles import DEFAULT_CHAT_MODELS

logger = logging.getLogger(__name__)

MOST_CANCELLATIONS: Final = 3
STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often things are done, in seconds. A page that polls is a viewer for ``poll`` after each question.

    The database is asked every ``read``; when that takes long, so rarely that it takes one part in ``read_share`` of
    the time, but every ``read_at_most``. ``check`` is how often it is asked whether the viewers are still logged in.
    """

    tick: float = 1.0
    read: float = 4.0
    read_share: int = 50
    read_at_most: float = 60.0
    check: float = 3.0
    poll: float = 10.0


# Shown although nobody has used them today.
COMMON_MODELS: Final = 3

# Minutes, and the first one that they do not cover.
History = tuple[Sequence[Tally], int]
NO_HISTORY: Final[History] = ((), 0)
Look = Callable[
    [float, Sequence[KeyStanding], Part, Sequence[str], History | None], tuple[Reading, PoolPicture, History]
]


class Viewer(Protocol):
    """Somebody who watches: proxy.dashboard.consumers.LiveConsumer."""

    @property
    def language(self) -> str:
        """The language of the page."""

    @property
    def session_key(self) -> str:
        """The session that the viewer is logged in with."""

    async def show(self, snapshot: bytes) -> None:
        """Send a snapshot."""

    async def dismiss(self) -> None:
        """End the watching: the viewer is not logged in any more."""


class Hub:
    """The dashboard of one process. All methods are called in its event loop.

    ``layer`` leads to the other processes of this installation; None: there are none.
    """

    def __init__(
        self,
        house: House,
        *,
        layer: BaseChannelLayer | None = None,
        rhythm: Rhythm | None = None,
        look: Look | None = None,
        allowed: Callable[[Collection[str]], Awaitable[set[str]]] = may_watch,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._house = house
        self._rhythm = rhythm or Rhythm()
        self._look = look or look_at_database
        self._allowed = allowed
        self._now = now
        self._viewers: set[Viewer] = set()
        self._polled_until = 0.0
        self._neighbours = Neighbours(layer, self._own_part) if layer is not None else None
        self._listening: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._is_away = False
        self._read = Reading()
        self._pool = PoolPicture()
        # The minutes before somebody began to watch, as the database knows them; None: not read yet.
        self._history: History | None = None
        self._next_reading = 0.0
        self._next_check = 0.0
        self._snapshot: Mapping[str, Any] | None = None
        self._taken_at = 0.0

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self._viewers) or self._polled_until > self._now()

    def start(self) -> None:
        """Answer other processes, where there are any."""
        if self._neighbours is not None:
            self._listening = asyncio.get_running_loop().create_task(self._neighbours.listen(), name="neighbours")

    async def join(self, viewer: Viewer) -> None:
        """Let ``viewer`` have a snapshot now and each second until it leaves."""
        self._viewers.add(viewer)
        self._wake()
        await viewer.show(encoded(await self._fresh(), viewer.language))

    def leave(self, viewer: Viewer) -> None:
        """Let ``viewer`` have no more."""
        self._viewers.discard(viewer)

    async def latest(self, language: str) -> bytes:
        """Return the snapshot of this second, for a page that polls."""
        self._polled_until = self._now() + self._rhythm.poll
        self._wake()
        return encoded(await self._fresh(), language)

    async def stop(self) -> None:
        """End what runs."""
        all_tasks = (self._running, self._reading, self._checking, self._listening)
        tasks = [task for task in all_tasks if task is not None]
        # While Redis is away the channel layer turns a cancellation into a fault of its own: those are told again.
        for _ in range(MOST_CANCELLATIONS):
            if pending := [task for task in tasks if not task.done()]:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=STOP_SECONDS)

    def _wake(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run(), name="dashboard")

    async def _run(self) -> None:
        while self.is_watched:
            await asyncio.sleep(self._rhythm.tick)
            try:
                await self._tick()
            except Exception:  # The next second may be better; the viewers keep what they have.
                logger.exception("The dashboard could not be drawn")
        # Whoever comes next wants the minutes that nobody has watched, too.
        self._history = None
        self._next_reading = 0.0

    async def _tick(self) -> None:
        self._begin_check()
        if self._neighbours is not None:
            await self._neighbours.ask()
        if not self._viewers:
            return
        snapshot = self._take()
        languages = {viewer.language for viewer in self._viewers}
        pictures = {language: encoded(snapshot, language) for language in languages}
        for viewer in list(self._viewers):
            try:
                await viewer.show(pictures[viewer.language])
            except Exception:  # Its connection is gone; the others still look.
                self.leave(viewer)

    async def _fresh(self) -> Mapping[str, Any]:
        """Return a snapshot that is at most a second old; the first one waits for the database."""
        if self._history is None:
            self._begin_reading()
            if self._reading is not None:
                await asyncio.wait({self._reading}, timeout=self._rhythm.tick)
        if self._snapshot is None or self._now() - self._taken_at >= self._rhythm.tick:
            self._take()
        assert self._snapshot is not None  # noqa: S101 - _take sets it
        return self._snapshot

    def _take(self) -> Mapping[str, Any]:
        now = self._now()
        if now >= self._next_reading:
            self._begin_reading()
        parts = self._parts()
        part = merged(parts)
        minutes = hour(*(self._history or NO_HISTORY), part, now)
        self._taken_at = now
        self._snapshot = compose(
            part,
            minutes,
            self._pool,
            self._read,
            outages=self._house.relay.breaker.outages(now),
            waiting=self._house.journal.depth,
            processes=len(parts),
            now=now,
        )
        return self._snapshot

    def _parts(self) -> list[Part]:
        return [self._own_part(), *(self._neighbours.parts() if self._neighbours is not None else ())]

    def _own_part(self) -> Part:
        tails = {key.id: key.tail for key in self._house.runtime.current.keys}
        return part_of(self._house.live, tails)

    def _begin_reading(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_database(), name="dashboard reading")

    async def _read_database(self) -> None:
        began = self._now()
        look = partial(
            self._look,
            began,
            self._house.pool.standings(began),
            merged(self._parts()),
            _common_models(self._house.runtime.current),
            self._history,
        )
        try:
            self._read, self._pool, self._history = await asyncio.to_thread(look)
        except Error as error:
            self._tell_away(error)
            self._next_reading = self._now() + self._rhythm.read
            return
        self._is_away = False
        pause = min((self._now() - began) * self._rhythm.read_share, self._rhythm.read_at_most)
        self._next_reading = self._now() + max(self._rhythm.read, pause)

    def _begin_check(self) -> None:
        now = self._now()
        is_running = self._checking is not None and not self._checking.done()
        if self._viewers and now >= self._next_check and not is_running:
            self._next_check = now + self._rhythm.check
            self._checking = asyncio.get_running_loop().create_task(self._dismiss_strangers(), name="dashboard check")

    async def _dismiss_strangers(self) -> None:
        try:
            allowed = await self._allowed({viewer.session_key for viewer in self._viewers})
        except Error as error:
            # Nobody can log out either while the database is away: the viewers stay.
            self._tell_away(error)
            return
        for viewer in [viewer for viewer in self._viewers if viewer.session_key not in allowed]:
            self.leave(viewer)
            await viewer.dismiss()

    def _tell_away(self, error: Error) -> None:
        if not self._is_away:
            logger.warning("The dashboard cannot read the database (%s)", type(error).__name__)
        self._is_away = True


def look_at_database(
    now: float, keys: Sequence[KeyStanding], part: Part, models: Sequence[str], history: History | None
) -> tuple[Reading, PoolPicture, History]:
    """Read the database and work out what follows from it; the last hour only when ``history`` is not known yet."""
    try:
        moment = datetime.fromtimestamp(now, UTC)
        reading = today(moment, timezone.get_default_timezone())
        if history is None:
            history = last_hour(moment), int(now // 60)
    finally:
        connections.close_all()
    return reading, pool_picture(keys, reading, hour(*history, part, now), models, now), history


def _common_models(runtime: Runtime) -> list[str]:
    return [model for model in DEFAULT_CHAT_MODELS if knows(runtime, model)][:COMMON_MODELS]
