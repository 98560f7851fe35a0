"""All windows of this installation: take, give back, add. One interface, whatever the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keys.ledger.windows import Refusal, Standing, Take, Window


class Ledger(Protocol):
    """Counts exactly under any concurrency. Every ``now`` is in seconds since the epoch."""

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        """Take from all windows or from none: None when granted, else the first window without room."""

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        """Undo earlier takes. A minute keeps what was taken: it may have begun anew since."""

    async def add(self, window: Window, amount: int, now: float) -> None:
        """Count what is known only afterwards (tokens), whatever the limit."""

    async def standing(self, window: Window, now: float) -> Standing:
        """Tell how much of a window is used."""
        ...
