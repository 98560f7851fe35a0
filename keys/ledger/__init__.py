"""All windows of this installation: take, give back, add. One interface, whatever the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keys.ledger.windows import Admission, Refusal, Slots, Standing, Take, Window


class Away(Exception):
    """The store of the ledger cannot be asked; the message says why. ``never_sent``: the call surely had no effect."""

    def __init__(self, why: str, *, never_sent: bool = False) -> None:
        super().__init__(why)
        self.never_sent = never_sent


class Ledger(Protocol):
    """Counts exactly under any concurrency. Every ``now`` is in seconds since the epoch.

    What takes or tells may raise Away; what gives back or adds never does. One whose caller is cancelled while it
    takes takes nothing.
    """

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        """Take from all windows or from none: None when granted, else the first window without room."""

    async def admit(self, takes: Sequence[Take], now: float) -> Admission:
        """Do the same, and tell how the windows stand then, in the order of ``takes``."""
        ...

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        """Undo earlier takes. A minute keeps what was taken: it may have begun anew since."""

    def spend(self, takes: Sequence[Take], now: float) -> None:
        """Let earlier takes stay for good: what they were for is written down.

        Until then they belong to this process: should it die, a store that outlives it gives them back, within about
        SLOT_SECONDS.
        """

    async def add(self, window: Window, amount: int, now: float) -> None:
        """Count what is known only afterwards (tokens), whatever the limit."""

    async def standing(self, window: Window, now: float) -> Standing:
        """Tell how much of a window is used."""
        ...

    async def raise_to(self, window: Window, used: int, now: float) -> None:
        """Let a window stand at ``used`` at least: so much the database knows of."""

    async def enter(self, slots: Slots, holder: int, now: float) -> bool:
        """Take a slot for the request ``holder``, and tell whether there was one. One that is inside stays inside.

        A slot is held until ``leave``, however long that takes. Those of a process that died come free within
        SLOT_SECONDS: a store that outlives its processes keeps an end with each slot, and renews those of its own.
        """
        ...

    async def leave(self, slots: Slots, holder: int) -> None:
        """Give back the slot of ``holder``; nothing when it has none. Once begun it is done, also if cancelled."""

    async def inside(self, slots: Slots, now: float) -> int:
        """Tell how many slots are held."""
        ...
