"""Which key serves the next attempt; which rest, and which are out. In memory, told to the journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from keys.changes import Changes, Disabling, ParkRow
from keys.lanes import Lanes
from keys.ledger import Ledger
from keys.ledger.windows import Take, key_day, key_limit
from keys.rules import ParkReason, Rest, Verdict
from keys.standing import KeyStanding
from keys.turns import Turns

FIRST_REST: Final = 5.0
LONGEST_REST: Final = 600.0

__all__ = ["Disabling", "Lease", "ParkRow", "Pool", "PoolKey", "Unavailable"]


@dataclass(frozen=True, slots=True)
class PoolKey:
    """One key as the pool lends it. ``daily_limit`` None: what its kind has (key_limit); 0: no limit.

    Keys of a lower ``rank`` are lent before all of a higher one.
    """

    id: int
    secret: str = field(repr=False)
    tail: str
    kind: str
    daily_limit: int | None
    disabled: bool
    rank: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """One key lent to one attempt; given back by Pool.release, once."""

    key: PoolKey
    model: str
    takes: tuple[Take, ...] = ()


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No key can be lent: why, and the earliest moment at which one returns (None: time does not heal it).

    ``busy``: those that fit carry as many attempts as one key may. ``exhausted``: every key that offers the model
    has used up its day. ``not_offered``: no key offers the model.
    """

    why: Literal["no_keys", "resting", "exhausted", "not_offered", "busy"]
    until: datetime | None


class Pool:
    """Lends keys: lowest rank first, then fewest in flight, then least recently used.

    ``serves(kind, model)`` tells which kinds of keys can reach a model. It knows what the last snapshot of the
    database said, and what it has found out itself since (``Changes``). Every ``now`` is in seconds since the epoch.
    A daily limit of 0 means no limit.
    """

    def __init__(self, ledger: Ledger, serves: Callable[[str, str], bool] = lambda kind, model: True) -> None:
        self.turns = Turns()
        self._ledger = ledger
        self._serves = serves
        self._keys: dict[int, PoolKey] = {}
        self._kinds: frozenset[str] = frozenset()
        self._daily_limit = 0
        self._changes = Changes()
        self._lanes = {0: Lanes(self._rests_until)}
        self._open: set[Lease] = set()
        self._in_flight: dict[int, int] = {}
        self._most_at_once = 0
        self._exhausted: dict[int, float] = {}
        # Moves whenever room may have come back: a refusal of the ledger from before that says nothing any more.
        self._room = 0
        self._strikes: dict[tuple[int, str], int] = {}
        # Why there is no key, by model: looking at all keys for every refused client would cost milliseconds.
        self._refusals: dict[str, Unavailable] = {}

    @property
    def in_flight(self) -> int:
        """How many leases are out."""
        return len(self._open)

    @property
    def enabled(self) -> int:
        """How many keys are not disabled, resting or not."""
        return sum(1 for key in self._keys.values() if self._is_enabled(key))

    def usable(self, now: float) -> int:
        """Return how many keys can serve some model now: enabled, not parked as a whole, day not used up."""
        return sum(1 for key in self._keys.values() if self._is_enabled(key) and not self._rests_until(key.id, "", now))

    def standings(self, now: float) -> list[KeyStanding]:
        """Return how each key stands: for people who watch, not for requests."""
        parks = self._changes.in_force(now)
        return [
            KeyStanding(
                id=key.id,
                tail=key.tail,
                daily_limit=self._limit(key),
                is_enabled=self._is_enabled(key),
                is_readable=bool(key.secret),
                spent_until=until if (until := self._exhausted.get(key.id, 0.0)) > now else 0.0,
                parks=parks.get(key.id),
            )
            for key in self._keys.values()
        ]

    def kinds(self, model: str) -> set[str]:
        """Return the kinds of keys, those of enabled ones, that can reach ``model``."""
        return {kind for kind in self._kinds if self._serves(kind, model)}

    def replace(
        self,
        keys: Iterable[PoolKey],
        parks: Iterable[ParkRow],
        *,
        daily_limit: int,
        revision: int,
        most_at_once: int = 0,
    ) -> None:
        """Take over a snapshot of the database, read at ``revision``.

        No key is lent to more than ``most_at_once`` attempts at a time (0: no limit).
        What the pool found out itself and is not confirmed as written at or before ``revision`` stays in force.
        """
        limits = {key_id: self._limit(key) for key_id, key in self._keys.items()}
        self._keys = {key.id: key for key in keys}
        self._kinds = frozenset(key.kind for key in self._keys.values() if not key.disabled)
        self._daily_limit = daily_limit
        self._most_at_once = most_at_once
        self._changes.replace(parks, revision)
        # A key with another limit than before may have room: the next lease finds out. The others stay exhausted,
        # or the dashboard would call them usable after every change somebody makes to anything.
        self._exhausted = {
            key_id: until
            for key_id, until in self._exhausted.items()
            if key_id in self._keys and self._limit(self._keys[key_id]) == limits.get(key_id)
        }
        self._refusals.clear()
        self._room += 1
        self._strikes = {place: count for place, count in self._strikes.items() if place[0] in self._keys}
        self._sort_into_lanes()

    def _sort_into_lanes(self) -> None:
        """Put the idle keys of each rank into lanes of their own."""
        ranks = sorted({key.rank for key in self._keys.values()} or {0})
        self._lanes = {rank: self._lanes.get(rank) or Lanes(self._rests_until) for rank in ranks}
        known = self._keys.keys() | self._in_flight.keys()
        for rank, lanes in self._lanes.items():
            ranked = (key for key in self._keys.values() if key.rank == rank and key.id not in self._in_flight)
            lanes.reset((key.id for key in ranked if self._is_enabled(key)), known)

    async def lease(self, model: str, avoid: Collection[int], now: float) -> Lease | Unavailable:
        """Lend the key that fits best, its day window taken; or say why there is none.

        Keys in ``avoid`` (ids already used for this request) are lent only when no other fits.
        """
        while (key_id := self._choose(model, avoid, now)) is not None:
            lease = await self._try_lend(self._keys[key_id], model, now)
            if lease is not None:
                return lease
        if self._most_at_once and any(self._fits(key_id, model, now) for key_id in self._in_flight):
            return Unavailable("busy", None)
        refusal = self._refusals.get(model)
        if refusal is None or refusal.until is None or refusal.until.timestamp() <= now:
            refusal = self._refusals[model] = self._unavailable(model, now)
        return refusal

    async def release(self, lease: Lease, *, refund: bool, now: float) -> None:
        """Take a key back. ``refund`` gives its day count back (upstream served nothing). Twice does nothing."""
        if lease not in self._open:
            return
        # Before anything suspends: a cancelled task must not leave the key in flight.
        self._open.discard(lease)
        self._leave(lease.key.id)
        if not lease.takes:
            return
        if refund:
            await self._refund(lease.key.id, lease.takes, now)
        else:
            self._ledger.spend(lease.takes, now)

    def judge(self, lease: Lease, verdict: Verdict, now: float) -> ParkRow | Disabling | None:
        """Apply a verdict at once, and return what the journal must write (None: nothing changed)."""
        key = self._keys.get(lease.key.id)
        if key is None or not self._is_enabled(key):
            return None
        self._refusals.clear()
        if verdict.disable:
            self._lanes_of(key.id).drop(key.id)
            return self._changes.disable(Disabling(key.id, verdict.disable))
        if verdict.rest is None:
            return None
        return self._park(key.id, lease.model, verdict.rest, now)

    def succeeded(self, lease: Lease) -> None:
        """Clear a key's suspicion for the model it has just answered for."""
        self._strikes.pop((lease.key.id, lease.model), None)

    def confirm(self, changes: Iterable[ParkRow | Disabling], revision: int) -> None:
        """Note that the journal wrote these changes in the transaction that made ``revision``."""
        self._refusals.clear()
        for key_id in self._changes.confirm(changes, revision):
            # A snapshot newer than the write no longer has it: somebody freed the key.
            self._offer(key_id)

    def look_again(self) -> None:
        """Ask the ledger once more about keys whose day was used up: another process has given some of it back."""
        exhausted = list(self._exhausted)
        self._exhausted.clear()
        self._refusals.clear()
        self._room += 1
        for key_id in exhausted:
            self._offer(key_id)

    def _is_enabled(self, key: PoolKey) -> bool:
        return not key.disabled and not self._changes.is_disabled(key.id)

    def _lanes_of(self, key_id: int) -> Lanes:
        key = self._keys.get(key_id)
        return self._lanes[key.rank if key else next(iter(self._lanes))]

    def _rests_until(self, key_id: int, model: str, now: float) -> float:
        """Return when a key is free for a model again: 0 for now, infinity where its kind does not reach it."""
        key = self._keys.get(key_id)
        if model and key is not None and not self._serves(key.kind, model):
            return math.inf
        until = max(self._changes.parked_until(key_id, model), self._exhausted.get(key_id, 0.0))
        return until if until > now else 0.0

    def _choose(self, model: str, avoid: Collection[int], now: float) -> int | None:
        for avoided in (avoid, ()) if avoid else ((),):
            for rank, lanes in self._lanes.items():
                chosen = self._idle_or_busy(rank, lanes, model, avoided, now)
                if chosen is not None:
                    return chosen
        return None

    def _idle_or_busy(self, rank: int, lanes: Lanes, model: str, avoid: Collection[int], now: float) -> int | None:
        chosen = lanes.first(model, avoid, now)
        if chosen is not None:
            return chosen
        fitting = (
            key_id
            for key_id, count in self._in_flight.items()
            if key_id not in avoid
            and self._has_room(count)
            and self._fits(key_id, model, now)
            and self._keys[key_id].rank == rank
        )
        return min(fitting, key=lambda id: (self._in_flight[id], lanes.last_used(id)), default=None)

    def _has_room(self, in_flight: int) -> bool:
        return not self._most_at_once or in_flight < self._most_at_once

    def _fits(self, key_id: int, model: str, now: float) -> bool:
        key = self._keys.get(key_id)
        return key is not None and self._is_enabled(key) and not self._rests_until(key_id, model, now)

    async def _try_lend(self, key: PoolKey, model: str, now: float) -> Lease | None:
        """Lend this key, unless its day is used up or it fell out while the ledger was asked."""
        takes = self._takes(key, now)
        room = self._room
        lease = Lease(key, model, takes)
        self._enter(key.id)
        try:
            refusal = await self._ledger.take(takes, now) if takes else None
        except BaseException:
            self._leave(key.id)
            raise
        if refusal is None and self._fits(key.id, model, now):
            self._open.add(lease)
            return lease
        if refusal is None:
            self._leave(key.id)
            await self._refund(key.id, takes, now)
            return None
        if room == self._room:
            self._exhausted[key.id] = refusal.resets_at
            self._refusals.clear()
        self._leave(key.id)
        return None

    def _takes(self, key: PoolKey, now: float) -> tuple[Take, ...]:
        limit = self._limit(key)
        return (Take(key_day(key.id, limit, now)),) if limit else ()

    def _limit(self, key: PoolKey) -> int:
        return key_limit(key.kind, key.daily_limit, self._daily_limit)

    def _enter(self, key_id: int) -> None:
        self._in_flight[key_id] = self._in_flight.get(key_id, 0) + 1
        self._lanes_of(key_id).use(key_id)

    def _leave(self, key_id: int) -> None:
        self._in_flight[key_id] -= 1
        self.turns.wake()
        if self._in_flight[key_id]:
            return
        del self._in_flight[key_id]
        self._offer(key_id)

    def _offer(self, key_id: int) -> None:
        key = self._keys.get(key_id)
        if key and self._is_enabled(key) and key_id not in self._in_flight:
            self._lanes_of(key_id).add(key_id)

    async def _refund(self, key_id: int, takes: tuple[Take, ...], now: float) -> None:
        await self._ledger.give_back(takes, now)
        self._room += 1
        if self._exhausted.pop(key_id, None):
            self._refusals.clear()
            self._offer(key_id)

    def _park(self, key_id: int, lease_model: str, rest: Rest, now: float) -> ParkRow | None:
        model = "" if rest.whole_key else lease_model
        until = rest.until.timestamp() if rest.until else now + self._growing_pause(key_id, model, now)
        # Several answers to one burst must not shorten a rest, nor count as several strikes.
        if until <= max(now, self._changes.parked_until(key_id, model)):
            return None
        ends, begins = (datetime.fromtimestamp(moment, UTC) for moment in (until, now))
        park = ParkRow(key_id, model, rest.reason, ends, rest.quota_id, begins, rest.per_day)
        return self._changes.park(park)

    def _growing_pause(self, key_id: int, model: str, now: float) -> float:
        if self._changes.parked_until(key_id, model) > now:
            return 0.0
        strikes = self._strikes.get((key_id, model), 0)
        self._strikes[key_id, model] = strikes + 1
        return min(FIRST_REST * 2.0 ** min(strikes, 16), LONGEST_REST)

    def _unavailable(self, model: str, now: float) -> Unavailable:
        keys = [key.id for key in self._keys.values() if self._is_enabled(key)]
        if not keys:
            return Unavailable("no_keys", None)
        offering = [key_id for key_id in keys if not self._is_not_offered(key_id, model, now)]
        ends = [self._rests_until(key_id, model, now) for key_id in offering or keys]
        until = None if min(ends) == math.inf else datetime.fromtimestamp(min(ends) or now, UTC)
        if not offering:
            return Unavailable("not_offered", until)
        exhausted = all(self._is_exhausted(key_id, model, now) for key_id in offering)
        return Unavailable("exhausted" if exhausted else "resting", until)

    def _is_not_offered(self, key_id: int, model: str, now: float) -> bool:
        is_served = self._serves(self._keys[key_id].kind, model)
        return not is_served or self._changes.reason(key_id, model, now) is ParkReason.NOT_OFFERED

    def _is_exhausted(self, key_id: int, model: str, now: float) -> bool:
        return self._exhausted.get(key_id, 0.0) > now or self._changes.reason(key_id, model, now) is ParkReason.PER_DAY
