"""When to stop asking an upstream that is out for everybody, and when to ask it again. Pure.

An upstream has one circuit for its connection and one for each model. Faults in a row open a circuit: from then on
requests are refused at once, and one of them may try every now and then. The first sign of life closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from keys.rules import Outcome

# What an outage takes: so many failed attempts in a row, of so many requests, with so many keys (all, if there are
# fewer). One request in trouble, one bad key, or an overloaded minute opens nothing.
FAULTS: Final = 20
REQUESTS: Final = 5
KEYS: Final = 2
# Faults that lie further apart than this are no row.
ROW_SECONDS: Final = 120.0
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 30.0

# Whoever goes away, or loses a race, has learned nothing about the upstream.
SILENT: Final = frozenset({Outcome.CANCELLED, Outcome.LOST_RACE})
FAULTY: Final = frozenset({Outcome.UNAVAILABLE, Outcome.CUT, Outcome.TIMEOUT})

Place = tuple[str, str]
MOST_PLACES: Final = 256


def upstream_of(kind: str) -> str:
    """Return the upstream that keys of this kind (keys.models.Key.Kind) lead to."""
    return "Vertex AI" if kind.startswith("vertex") else "The Gemini API"


@dataclass(frozen=True, slots=True)
class Circuit:
    """Faults in a row, without a sign of life between them. Open once ``pause`` is set; times in seconds.

    ``requests`` and ``keys`` are the ids of those that met the faults, as many as matter.
    """

    began: float
    last: float
    faults: int = 0
    requests: frozenset[int] = frozenset()
    keys: frozenset[int] = frozenset()
    pause: float = 0.0
    next_try: float = 0.0
    is_trying: bool = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused."""
        return self.pause > 0


@dataclass(frozen=True, slots=True)
class Outage:
    """Why nothing is asked: ``faults`` attempts in a row failed; ``wait`` is in seconds. ``model`` "": all of them."""

    upstream: str
    model: str
    faults: int
    wait: float


def failed(circuit: Circuit | None, *, request: int, key: int, keys_needed: int, now: float) -> Circuit:
    """Return the circuit after one more fault."""
    if circuit is None or (not circuit.is_open and now - circuit.last > ROW_SECONDS):
        circuit = Circuit(now, now)
    circuit = replace(
        circuit,
        last=now,
        faults=circuit.faults + 1,
        requests=_with(circuit.requests, request, REQUESTS),
        keys=_with(circuit.keys, key, KEYS),
    )
    if circuit.is_open:
        # Attempts that began before it opened say nothing new; the one that was let through does.
        return _closed_for(circuit, 2 * circuit.pause, now) if circuit.is_trying else circuit
    is_outage = (
        circuit.faults >= FAULTS and len(circuit.requests) >= REQUESTS and len(circuit.keys) >= min(KEYS, keys_needed)
    )
    return _closed_for(circuit, FIRST_PAUSE, now) if is_outage else circuit


def may_try(circuit: Circuit, now: float) -> bool:
    """Say whether a request may go out: always, or once in each pause of an open circuit."""
    return not circuit.is_open or now >= circuit.next_try


def trying(circuit: Circuit, now: float) -> Circuit:
    """Return the circuit after one request was let through. A try that takes long holds up no further one."""
    return replace(circuit, is_trying=True, next_try=now + circuit.pause) if circuit.is_open else circuit


def _closed_for(circuit: Circuit, pause: float, now: float) -> Circuit:
    pause = min(pause, LONGEST_PAUSE)
    return replace(circuit, pause=pause, next_try=now + pause, is_trying=False)


def _with(ids: frozenset[int], one: int, most: int) -> frozenset[int]:
    return ids if len(ids) >= most else ids | {one}


class Breaker:
    """The circuits of all upstreams. ``usable_keys(now)`` is how many keys could serve something now."""

    def __init__(self, usable_keys: Callable[[float], int]) -> None:
        self._usable_keys = usable_keys
        self._circuits: dict[Place, Circuit] = {}

    @property
    def open(self) -> int:
        """How many circuits are open."""
        return sum(circuit.is_open for circuit in self._circuits.values())

    def outages(self, now: float) -> list[Outage]:
        """Return every upstream, or model of one, that is not asked now."""
        circuits = self._circuits.items()
        return [
            Outage(*place, circuit.faults, max(circuit.next_try - now, 0.0))
            for place, circuit in circuits
            if circuit.is_open
        ]

    def outage(self, upstream: str, model: str, now: float) -> Outage | None:
        """Return why ``upstream`` is not to be asked for ``model`` now; None lets this one attempt through."""
        if not self._circuits:
            return None
        places = [place for place in ((upstream, ""), (upstream, model)) if place in self._circuits]
        shut = [place for place in places if not may_try(self._circuits[place], now)]
        if not shut:
            self._circuits |= {place: trying(self._circuits[place], now) for place in places}
            return None
        place = max(shut, key=lambda place: self._circuits[place].next_try)
        circuit = self._circuits[place]
        return Outage(*place, circuit.faults, circuit.next_try - now)

    def alive(self, upstream: str, model: str) -> None:
        """Note that ``upstream`` answers for ``model``."""
        if self._circuits:
            self._circuits.pop((upstream, ""), None)
            self._circuits.pop((upstream, model), None)

    def failed(
        self, upstream: str, model: str, outcome: Outcome, status: int, *, request: int, key: int, now: float
    ) -> None:
        """Note how an attempt without an answer ended. ``status`` 0: Google said nothing at all."""
        if outcome in SILENT:
            return
        if outcome not in FAULTY:
            self.alive(upstream, model)
            return
        if status:
            # Whoever sends a status can be reached: only this model is in trouble.
            self._circuits.pop((upstream, ""), None)
        place = (upstream, model if status else "")
        if len(self._circuits) >= MOST_PLACES and place not in self._circuits:
            self._circuits.clear()
        needed = self._usable_keys(now)
        self._circuits[place] = failed(self._circuits.get(place), request=request, key=key, keys_needed=needed, now=now)
