"""The dashboard's one picture: what the processes count, what the database says of today, what the pool still has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any, Final

import orjson

from keys.headroom import Headroom, headrooms, worth_showing
from keys.ledger.windows import PACIFIC, next_midnight
from keys.rules import UNSERVED, Outcome
from keys.standing import KeyStanding, KeyState, census
from proxy.breaker import Outage
from proxy.dashboard.parts import CLASSES, Part, Tally, added
from proxy.dashboard.reading import Reading
from proxy.live import MINUTES, UPSTREAM_FAULTS

MOST_MODELS: Final = 12
# An ended request stays on the page a little: most answers are quicker than the eye.
ENDED_SECONDS: Final = 15.0
MOST_ENDED: Final = 8
RATE_MINUTES: Final = 5
HEALTH_MINUTES: Final = 15


@dataclass(frozen=True, slots=True)
class PoolPicture:
    """How the keys stand, and what they can still serve."""

    states: Mapping[KeyState, int] = field(default_factory=dict)
    partly: int = 0
    models: tuple[Headroom, ...] = ()


def pool_picture(
    keys: Sequence[KeyStanding], reading: Reading, minutes: Iterable[Tally], models: Sequence[str], now: float
) -> PoolPicture:
    """Work out the headroom of the models worth showing. ``models`` are shown too, if there is room."""
    resets_at = next_midnight(now, PACIFIC)
    per_hour = _served(minutes)
    shown = worth_showing(reading.used, reading.learned, models, most=MOST_MODELS)
    return PoolPicture(
        states=census(keys),
        partly=sum(1 for key in keys if key.parks and key.state is KeyState.READY),
        models=tuple(
            headrooms(shown, keys, reading.used, reading.learned, per_hour=per_hour, now=now, resets_at=resets_at)
        ),
    )


def hour(history: Iterable[Tally], counted_from: int, part: Part, now: float) -> list[Tally]:
    """Return the last hour's minutes, all of them: of ``history``, then from ``counted_from`` on those of ``part``."""
    last = int(now // 60)
    known = added([*history, *(minute for minute in part.minutes if minute.number >= counted_from)])
    by_number = {minute.number: minute for minute in known}
    return [by_number.get(number) or Tally(number) for number in range(last - MINUTES + 1, last + 1)]


def compose(
    part: Part,
    minutes: Sequence[Tally],
    pool: PoolPicture,
    reading: Reading,
    *,
    outages: Sequence[Outage],
    waiting: int,
    processes: int,
    now: float,
) -> dict[str, Any]:
    """Return the snapshot. ``waiting`` is how many log entries wait for the database."""
    return {
        "now": now,
        "processes": processes,
        "waiting": waiting,
        "in_flight": part.in_flight,
        "running": part.running,
        "ended": [row for row in part.ended if row["at"] > now - ENDED_SECONDS][:MOST_ENDED],
        "rates": _rates(part, minutes, now),
        "minutes": _series(minutes),
        "keys": {**{str(state): count for state, count in pool.states.items()}, "partly": pool.partly},
        "models": [asdict(one) for one in pool.models],
        "members": reading.members,
        "refusals": part.refusals,
        "upstream": _health(part, minutes, outages, now),
    }


def encoded(snapshot: Mapping[str, Any], language: str) -> bytes:
    """Return the snapshot as JSON, its sentences in ``language``."""
    refusals = [
        {**{name: value for name, value in row.items() if name != "texts"}, "text": row["texts"].get(language, "")}
        for row in snapshot["refusals"]
    ]
    return orjson.dumps({**snapshot, "refusals": refusals})


def _rates(part: Part, minutes: Sequence[Tally], now: float) -> dict[str, Any]:
    """Return the numbers at the top of the page: a minute's requests and tokens, shares of the hour, seconds."""
    lately = minutes[-RATE_MINUTES:]
    # The running minute is only partly over.
    span = RATE_MINUTES - 1 + (now % 60) / 60
    classes = _classes(minutes)
    ended = classes["answered"] + classes["failed"]
    served = sum(_served_attempts(minutes).values())
    empty = sum(minute.attempts.get(Outcome.EMPTY, 0) for minute in minutes)
    return {
        "requests": sum(sum(minute.requests.values()) for minute in lately) / span,
        "tokens": sum(minute.tokens for minute in lately) / span,
        "errors": classes["failed"] / ended if ended else None,
        "empties": empty / served if served else None,
        **_first_output(part.first_outputs),
    }


def _first_output(milliseconds: Sequence[int]) -> dict[str, float | None]:
    if len(milliseconds) < 2:
        only = milliseconds[0] / 1000 if milliseconds else None
        return {"first_median": only, "first_slow": only}
    cuts = quantiles(milliseconds, n=20, method="inclusive")
    return {"first_median": cuts[9] / 1000, "first_slow": cuts[18] / 1000}


def _series(minutes: Sequence[Tally]) -> dict[str, Any]:
    classes = [_classes([minute]) for minute in minutes]
    return {
        "last": minutes[-1].number,
        **{name: [one[name] for one in classes] for name in ("answered", "failed", "refused")},
        "tokens": [minute.tokens for minute in minutes],
        "first": [
            round(minute.first_output_ms / minute.first_outputs / 1000, 2) if minute.first_outputs else None
            for minute in minutes
        ],
    }


def _health(part: Part, minutes: Sequence[Tally], outages: Sequence[Outage], now: float) -> dict[str, Any]:
    """Say how Google does, by what its answers of the last minutes were."""
    outcomes: dict[str, int] = {}
    for minute in minutes[-HEALTH_MINUTES:]:
        for outcome, count in minute.attempts.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    faults = sum(count for outcome, count in outcomes.items() if outcome in UPSTREAM_FAULTS)
    tried = sum(outcomes.values())
    return {
        "state": _state(faults, tried, bool(outages)),
        "outcomes": outcomes,
        "outages": [
            {"upstream": one.upstream, "model": one.model, "faults": one.faults, "until": now + one.wait}
            for one in outages
        ],
        "last_answer": part.last_answer,
        "fault": part.fault,
    }


def _state(faults: int, tried: int, is_out: bool) -> str:
    if is_out:
        return "out"
    if not tried:
        return "quiet"
    if faults * 2 >= tried:
        return "failing"
    return "shaky" if faults * 10 >= tried else "well"


def _classes(minutes: Iterable[Tally]) -> dict[str, int]:
    counts = dict.fromkeys(("answered", "failed", "refused", "gone"), 0)
    for minute in minutes:
        for outcome, count in minute.requests.items():
            counts[CLASSES.get(outcome, "failed")] += count
    return counts


def _served_attempts(minutes: Iterable[Tally]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for minute in minutes:
        for outcome, count in minute.attempts.items():
            if outcome not in UNSERVED:
                counts[outcome] = counts.get(outcome, 0) + count
    return counts


def _served(minutes: Iterable[Tally]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for minute in minutes:
        for model, count in minute.served.items():
            counts[model] = counts.get(model, 0) + count
    return counts
