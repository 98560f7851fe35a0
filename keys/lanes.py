"""The order in which idle keys are lent: for each model a lane, least recently used first. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from heapq import heapify, heappop, heappush
from typing import Final

_MOST_LANES: Final = 64


class _Lane:
    """Idle keys by last use, and resting keys by the end of their rest. Old entries are skipped, not removed."""

    __slots__ = ("idle", "resting")

    def __init__(self, idle: list[tuple[int, int]]) -> None:
        self.idle = idle
        self.resting: list[tuple[float, int]] = []
        heapify(idle)


class Lanes:
    """Finds the idle key that has rested longest, without looking at all of them.

    ``rests_until(key_id, model, now)`` says when a key is free again (0: it is free now). A key that rests is
    looked at again when its rest ends, or when it is announced by ``add``.
    """

    def __init__(self, rests_until: Callable[[int, str, float], float]) -> None:
        self._rests_until = rests_until
        self._lanes: dict[str, _Lane] = {}
        self._used: dict[int, int] = {}
        self._idle: set[int] = set()
        self._uses = 0

    def reset(self, idle: Iterable[int], known: Collection[int]) -> None:
        """Start anew with these idle keys; the last use of every ``known`` key is remembered."""
        self._idle = set(idle)
        self._used = {key_id: used for key_id, used in self._used.items() if key_id in known}
        self._lanes.clear()

    def add(self, key_id: int) -> None:
        """Put a key (back) among the idle ones, or announce that its rest ended early."""
        self._idle.add(key_id)
        for lane in self._lanes.values():
            heappush(lane.idle, (self.last_used(key_id), key_id))

    def use(self, key_id: int) -> None:
        """Mark a key as used now, and no longer idle."""
        self._uses += 1
        self._used[key_id] = self._uses
        self._idle.discard(key_id)

    def drop(self, key_id: int) -> None:
        """Take a key out."""
        self._idle.discard(key_id)

    def last_used(self, key_id: int) -> int:
        """Return the number of a key's last use; 0 when it was never used."""
        return self._used.get(key_id, 0)

    def first(self, model: str, avoid: Collection[int], now: float) -> int | None:
        """Return the least recently used idle key that may serve ``model`` and is not to be avoided."""
        lane = self._lane(model, now)
        passed: list[tuple[int, int]] = []
        found = None
        while lane.idle and found is None:
            entry = heappop(lane.idle)
            used, key_id = entry
            if key_id not in self._idle or used != self.last_used(key_id):
                continue
            if until := self._rests_until(key_id, model, now):
                heappush(lane.resting, (until, key_id))
                continue
            passed.append(entry)
            if key_id not in avoid:
                found = key_id
        for entry in passed:
            heappush(lane.idle, entry)
        return found

    def _lane(self, model: str, now: float) -> _Lane:
        lane = self._lanes.get(model)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._lanes.clear()
            lane = self._lanes[model] = _Lane([(self.last_used(key_id), key_id) for key_id in self._idle])
        while lane.resting and lane.resting[0][0] <= now:
            key_id = heappop(lane.resting)[1]
            heappush(lane.idle, (self.last_used(key_id), key_id))
        return lane
