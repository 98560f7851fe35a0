"""One timer for the many waits of an attempt: asyncio.timeout would set and clear one for each."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Ends waits at a moment of the loop's time.

    Wait inside ``with deadline:``, which raises TimeoutError when the moment comes first. One wait at a time; call
    ``clear`` when there will be no more.
    """

    __slots__ = ("_at", "_cancelling", "_is_over", "_loop", "_timer", "_waiter")

    def __init__(self, at: float) -> None:
        self._waiter: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_over = False
        self._at = at
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(at, self._end)

    def __enter__(self) -> None:
        # With the loop named, Python 3.11 spares a system call for each wait.
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("A deadline needs a task.")
        if self._is_over:
            raise TimeoutError
        self._cancelling = task.cancelling()
        self._waiter = task

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._waiter = self._waiter, None
        if task is None or kind is not asyncio.CancelledError or not self._is_over:
            return
        # Somebody else may have cancelled the task as well: that goes first.
        if task.uncancel() <= self._cancelling:
            raise TimeoutError from None

    def within(self, seconds: float) -> None:
        """Let the moment come ``seconds`` from now, unless it comes before that anyway."""
        self._timer.cancel()
        self._timer = self._loop.call_at(min(self._at, self._loop.time() + seconds), self._end)

    def clear(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _end(self) -> None:
        self._is_over = True
        if self._waiter is not None:
            self._waiter.cancel()
