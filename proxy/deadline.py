"""One timer for the many waits of an attempt: asyncio.timeout would set and clear one for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """Ends waits at a moment of the loop's time. One wait at a time; call ``clear`` when there will be no more."""

    def __init__(self, at: float) -> None:
        self._waiter: asyncio.Task[object] | None = None
        self._over = False
        self._timer = asyncio.get_running_loop().call_at(at, self._end)

    def is_over(self) -> bool:
        """Tell whether the moment has passed."""
        return self._over

    async def wait(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what ``read`` returns. Raises TimeoutError when the deadline comes first."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A deadline needs a task.")
        if self.is_over():
            raise TimeoutError
        cancelling = task.cancelling()
        self._waiter = task
        try:
            return await read()
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task as well: that goes first.
            if self.is_over() and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._waiter = None

    def clear(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _end(self) -> None:
        self._over = True
        if self._waiter is not None:
            self._waiter.cancel()
