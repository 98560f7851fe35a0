"""The ledger of one process: windows in memory, restored by the journal at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keys.ledger.windows import MINUTE, Admission, Refusal, Slots, Standing, Take, Window, has_room

_SWEEP_SECONDS: Final = 60.0
# An ended day is kept a little: requests that began in it may still give back.
_KEPT_SECONDS: Final = 3600.0


class _Counter:
    __slots__ = ("resets_at", "used")

    def __init__(self, used: int, resets_at: float) -> None:
        self.used = used
        self.resets_at = resets_at


class MemoryLedger:
    """Windows in a dict. No method suspends, so each is one step for every other task."""

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}
        # These slots die with their process, as its requests do.
        self._inside: dict[str, set[int]] = {}
        self._sweep_at = 0.0

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        """Take from all windows or from none: None when granted, else the first window without room."""
        self._sweep(now)
        wanted: dict[str, int] = {}
        for take in takes:
            name = take.window.name
            counter = self._running(take.window, now)
            # Two takes of one window in one request must fit together.
            used = (counter.used if counter else 0) + wanted.get(name, 0)
            if not has_room(used, take):
                return Refusal(take.window, counter.resets_at if counter else _end(take.window, now))
            wanted[name] = wanted.get(name, 0) + take.amount
        for take in takes:
            if take.amount:
                self._counter(take.window, now).used += take.amount
        return None

    async def admit(self, takes: Sequence[Take], now: float) -> Admission:
        """Do the same, and tell how the windows stand then, in the order of ``takes``."""
        refusal = await self.take(takes, now)
        return Admission(refusal, tuple([await self.standing(take.window, now) for take in takes]))

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        """Undo earlier takes. A minute keeps what was taken: it may have begun anew since."""
        for take in takes:
            if take.window.ends_at is not None and (counter := self._running(take.window, now)):
                counter.used = max(0, counter.used - take.amount)

    def spend(self, takes: Sequence[Take], now: float) -> None:
        """Let earlier takes stay for good. They are counted already, and gone with this process."""

    async def add(self, window: Window, amount: int, now: float) -> None:
        """Count what is known only afterwards (tokens), whatever the limit."""
        counter = self._counter(window, now)
        counter.used = max(0, counter.used + amount)

    async def standing(self, window: Window, now: float) -> Standing:
        """Tell how much of a window is used."""
        counter = self._running(window, now)
        if counter:
            return Standing(counter.used, counter.resets_at)
        return Standing(0, now if window.ends_at is None else window.ends_at)

    async def raise_to(self, window: Window, used: int, now: float) -> None:
        """Let a window stand at ``used`` at least: so much the database knows of."""
        counter = self._counter(window, now)
        counter.used = max(counter.used, used)

    async def enter(self, slots: Slots, holder: int, now: float) -> bool:
        """Take a slot for the request ``holder``, and tell whether there was one. One that is inside stays inside."""
        holders = self._inside.get(slots.name, set())
        if holder not in holders and len(holders) >= slots.limit:
            return False
        self._inside[slots.name] = holders | {holder}
        return True

    async def leave(self, slots: Slots, holder: int) -> None:
        """Give back the slot of ``holder``; nothing when it has none."""
        holders = self._inside.get(slots.name, set()) - {holder}
        if holders:
            self._inside[slots.name] = holders
        else:
            self._inside.pop(slots.name, None)

    async def inside(self, slots: Slots, now: float) -> int:
        """Tell how many slots are held."""
        return len(self._inside.get(slots.name, ()))

    def restore(self, name: str, used: int, resets_at: float) -> None:
        """Set a window as it stood before a restart."""
        self._counters[name] = _Counter(used, resets_at)

    def __len__(self) -> int:
        return len(self._counters)

    def _running(self, window: Window, now: float) -> _Counter | None:
        counter = self._counters.get(window.name)
        # A request of the last second of a day still counts in that day: its window says so.
        if counter and counter.resets_at <= now and counter.resets_at != window.ends_at:
            return None
        return counter

    def _counter(self, window: Window, now: float) -> _Counter:
        counter = self._running(window, now)
        if counter is None:
            counter = self._counters[window.name] = _Counter(0, _end(window, now))
        return counter

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        gone = [name for name, counter in self._counters.items() if counter.resets_at + _KEPT_SECONDS <= now]
        for name in gone:
            del self._counters[name]


def _end(window: Window, now: float) -> float:
    return now + MINUTE if window.ends_at is None else window.ends_at
