"""Keeps a silent stream alive: one timer per stream, no work per chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Heartbeat:
    """Calls ``beat`` whenever ``seconds`` have passed since ``sent``.

    Set ``sent`` to the loop's time after each write, and ``is_busy`` while one is under way: a beat must not land
    inside it. ``beat`` may take its time, the next one waits for it.
    """

    def __init__(self, beat: Callable[[], Awaitable[None]], seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._beat = beat
        self._seconds = seconds
        self._beating: asyncio.Task[None] | None = None
        self.sent = self._loop.time()
        self.is_busy = False
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if not self.is_busy and self._beating is None and now - self.sent >= self._seconds:
            self.sent = now
            self._beating = self._loop.create_task(self._run())
        self._timer = self._loop.call_at(max(self.sent + self._seconds, now + self._seconds / 4), self._look)

    async def _run(self) -> None:
        try:
            await self._beat()
        finally:
            self._beating = None

    async def stop(self) -> None:
        """Beat no more; a beat under way is ended first."""
        self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
