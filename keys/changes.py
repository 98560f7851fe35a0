"""What is known of parks and disabled keys: the database's snapshot, and what is not yet in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from keys.rules import ParkReason
from keys.standing import ParkEnd

Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class ParkRow:
    """A key rests until a moment, for one model or (empty model) for all. ``per_day``: the quota it taught, or 0."""

    key_id: int
    model: str
    reason: ParkReason
    until: datetime
    quota_id: str
    created_at: datetime
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class Disabling:
    """A key is out; ``reason`` is a sentence for the admin."""

    key_id: int
    reason: str


class _Own:
    """A change of ours, and the revision at which it reached the database (None: not yet)."""

    __slots__ = ("change", "revision")

    def __init__(self, change: ParkRow | Disabling) -> None:
        self.change = change
        self.revision: int | None = None

    def is_in(self, revision: int) -> bool:
        """True when a snapshot of this revision has seen the change."""
        return self.revision is not None and self.revision <= revision


class Changes:
    """Parks and disabled keys in force.

    A snapshot that was read before our own change was written does not undo it; one that was read
    after it is the truth, also when the row is gone from it (an admin freed the key).
    """

    def __init__(self) -> None:
        self._revision = -1
        self._stored: dict[Place, ParkRow] = {}
        self._own_parks: dict[Place, _Own] = {}
        self._own_disabled: dict[int, _Own] = {}
        self._parks: dict[Place, tuple[float, ParkRow]] = {}

    def replace(self, parks: Iterable[ParkRow], revision: int) -> None:
        """Take over the parks of a snapshot."""
        self._revision = revision
        self._stored = {(park.key_id, park.model): park for park in parks}
        self._own_parks = {place: own for place, own in self._own_parks.items() if not own.is_in(revision)}
        self._own_disabled = {key_id: own for key_id, own in self._own_disabled.items() if not own.is_in(revision)}
        self._parks = {place: _timed(park) for place, park in self._stored.items()}
        self._parks |= {place: _timed(own.change) for place, own in self._own_parks.items()}

    def park(self, park: ParkRow) -> ParkRow:
        """Put a park of ours in force."""
        place = (park.key_id, park.model)
        self._own_parks[place] = _Own(park)
        self._parks[place] = _timed(park)
        return park

    def disable(self, disabling: Disabling) -> Disabling:
        """Put a disabled key of ours in force."""
        self._own_disabled[disabling.key_id] = _Own(disabling)
        return disabling

    def confirm(self, changes: Iterable[ParkRow | Disabling], revision: int) -> list[int]:
        """Note what was written at ``revision``; return the keys that a snapshot newer than that may have freed."""
        return [change.key_id for change in changes if self._settle(change, revision)]

    def is_disabled(self, key_id: int) -> bool:
        """True when we found the key dead, and no snapshot has said yet what became of that."""
        return key_id in self._own_disabled

    def parked_until(self, key_id: int, model: str) -> float:
        """Return the end of the longest park for this model (seconds since the epoch; 0: none)."""
        whole = self._parks.get((key_id, ""))
        this = self._parks.get((key_id, model))
        return max(whole[0] if whole else 0.0, this[0] if this else 0.0)

    def reason(self, key_id: int, model: str, now: float) -> ParkReason | None:
        """Return why the key rests for this model; the park of the whole key counts first."""
        for place in ((key_id, ""), (key_id, model)):
            if (park := self._parks.get(place)) and park[0] > now:
                return park[1].reason
        return None

    def in_force(self, now: float) -> dict[int, dict[str, ParkEnd]]:
        """Return all parks by key and model, those that are over left out."""
        found: dict[int, dict[str, ParkEnd]] = {}
        for (key_id, model), (until, park) in self._parks.items():
            if until > now:
                found.setdefault(key_id, {})[model] = ParkEnd(park.reason, until)
        return found

    def _settle(self, change: ParkRow | Disabling, revision: int) -> bool:
        own = self._own(change)
        if own is None or own.change != change:
            return False
        own.revision = revision
        if not own.is_in(self._revision):
            return False
        # The snapshot in force was read after the write: it is the truth now.
        if isinstance(change, Disabling):
            del self._own_disabled[change.key_id]
            return True
        place = (change.key_id, change.model)
        del self._own_parks[place], self._parks[place]
        if place in self._stored:
            self._parks[place] = _timed(self._stored[place])
        return True

    def _own(self, change: ParkRow | Disabling) -> _Own | None:
        if isinstance(change, Disabling):
            return self._own_disabled.get(change.key_id)
        return self._own_parks.get((change.key_id, change.model))


def _timed(park: ParkRow | Disabling) -> tuple[float, ParkRow]:
    assert isinstance(park, ParkRow)  # noqa: S101 - only parks are kept under a place
    return park.until.timestamp(), park
