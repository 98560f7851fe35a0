"""Those who wait until a key is given back."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

# Whoever was woken may have gone, or come too late: so nobody trusts in being woken alone.
LONGEST_LOOK: Final = 0.25


class Turns:
    """A line of waiters; ``wake`` lets the first of them look again."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self, seconds: float) -> None:
        """Wait to be woken, at most ``seconds``, and never long."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait({waiter}, timeout=min(seconds, LONGEST_LOOK))
        finally:
            waiter.cancel()

    def wake(self) -> None:
        """Wake the one who has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
