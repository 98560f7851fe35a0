"""How the keys of the pool stand: which are ready, which rest, which are out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from keys.rules import ParkReason


class KeyState(StrEnum):
    """In which state a key is; each is in exactly one."""

    READY = "ready"
    PARKED = "parked"
    EXHAUSTED = "exhausted"
    DISABLED = "disabled"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class ParkEnd:
    """Why a key rests, and until when (seconds since the epoch)."""

    reason: ParkReason
    until: float


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """One key now. ``daily_limit`` 0 is no limit.

    ``parks`` are those in force, by model; "" is the park of the whole key. ``spent_until`` is when the key's own
    daily limit begins anew, once that has refused it; else 0. One that ``is_readable`` not was encrypted with another
    SECRET_KEY.
    """

    id: int
    tail: str
    daily_limit: int
    is_enabled: bool = True
    is_readable: bool = True
    spent_until: float = 0.0
    parks: Mapping[str, ParkEnd] | None = None

    def park(self, model: str) -> ParkEnd | None:
        """Return the park that keeps this key from ``model`` longest."""
        if not self.parks:
            return None
        whole, this = self.parks.get(""), self.parks.get(model)
        if whole is None or this is None:
            return whole or this
        return whole if whole.until >= this.until else this

    @property
    def state(self) -> KeyState:
        """The key's state, whatever the model."""
        if not self.is_readable:
            return KeyState.UNREADABLE
        if not self.is_enabled:
            return KeyState.DISABLED
        whole = self.park("")
        if self.spent_until or (whole and whole.reason is ParkReason.PER_DAY):
            return KeyState.EXHAUSTED
        return KeyState.PARKED if whole else KeyState.READY


def census(keys: Iterable[KeyStanding]) -> dict[KeyState, int]:
    """Count the keys by state; every state is there."""
    counts = dict.fromkeys(KeyState, 0)
    for key in keys:
        counts[key.state] += 1
    return counts
