"""What the pool can still serve today, model by model. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keys.rules import ParkReason
from keys.standing import KeyStanding

# Requests of Google's day, by key and model.
UsedToday = Mapping[int, Mapping[str, int]]
# How many requests a day Google grants, by key and model; "" is the key's limit for all models together.
Learned = Mapping[tuple[int, str], int]


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is left of one model until ``resets_at``, the end of Google's day.

    ``left`` is None while some key that serves it has no known limit. ``is_guessed`` when keys that told no limit are
    taken to have that of the others. ``ready`` of the ``serving`` keys can take a request now; when none can,
    ``returns_at`` says when the first comes back (seconds since the epoch; 0: one is ready, or none ever comes).
    ``exhausted_at`` is when ``left`` is used up at the rate of the last hour; 0 when it lasts.
    """

    model: str
    used: int
    left: int | None
    is_guessed: bool
    ready: int
    serving: int
    returns_at: float
    exhausted_at: float
    resets_at: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A key that may serve; ``left`` is what its limits for all models together leave, None without such a limit."""

    key: KeyStanding
    used: Mapping[str, int]
    left: int | None


def headrooms(
    models: Iterable[str],
    keys: Iterable[KeyStanding],
    used: UsedToday,
    learned: Learned,
    *,
    per_hour: Mapping[str, int],
    now: float,
    resets_at: float,
) -> list[Headroom]:
    """Add up what every key can still serve of each model. ``per_hour`` is how many were served in the last hour."""
    candidates = [_candidate(key, used.get(key.id, {}), learned) for key in keys if key.is_enabled and key.is_readable]
    totals = used_in_all(used)
    return [
        _headroom(
            model, candidates, _told(model, learned), totals.get(model, 0), per_hour.get(model, 0), now, resets_at
        )
        for model in models
    ]


def _candidate(key: KeyStanding, used: Mapping[str, int], learned: Learned) -> _Candidate:
    limits = [limit for limit in (key.daily_limit or None, learned.get((key.id, ""))) if limit is not None]
    return _Candidate(key, used, min(limits) - sum(used.values()) if limits else None)


def _headroom(
    model: str,
    candidates: Sequence[_Candidate],
    told: Mapping[int, int],
    used: int,
    per_hour: float,
    now: float,
    resets_at: float,
) -> Headroom:
    usual = _usual(told)
    total, ready, serving, returns = 0, 0, 0, []
    is_limited, is_any_guessed = True, False
    for one in candidates:
        park = one.key.park(model) if one.key.parks else None
        if park is not None and park.reason is ParkReason.NOT_OFFERED:
            continue
        serving += 1
        free_at = max(park.until if park else 0.0, one.key.spent_until)
        if free_at >= resets_at:
            returns.append(free_at)
            continue
        left, is_guessed = _left(one, model, told.get(one.key.id), usual)
        if left is None:
            is_limited = False
        else:
            total += left
        is_any_guessed = is_any_guessed or is_guessed
        # A limit that is only guessed keeps no key from being asked.
        if left == 0 and not is_guessed:
            free_at = resets_at
        if free_at:
            returns.append(free_at)
        else:
            ready += 1
    return Headroom(
        model=model,
        used=used,
        left=total if is_limited else None,
        is_guessed=is_any_guessed,
        ready=ready,
        serving=serving,
        returns_at=0.0 if ready else min(returns, default=0.0),
        exhausted_at=_exhausted_at(total if is_limited else None, per_hour, now, resets_at),
        resets_at=resets_at,
    )


def _left(one: _Candidate, model: str, told: int | None, usual: int | None) -> tuple[int | None, bool]:
    """Return what one key can still serve, None without a known limit, and whether its limit is only guessed."""
    own = one.used.get(model, 0)
    # A key that went beyond the others' limit has another one.
    is_guessed = told is None and usual is not None and own <= usual
    limit = usual if is_guessed else told
    if limit is None:
        return (None if one.left is None else max(one.left, 0)), False
    left = limit - own if one.left is None else min(limit - own, one.left)
    return max(left, 0), is_guessed


def _told(model: str, learned: Learned) -> dict[int, int]:
    """Return what each key has told of its limit for ``model``."""
    return {key_id: limit for (key_id, place), limit in learned.items() if place == model}


def _usual(told: Mapping[int, int]) -> int | None:
    """Return the limit that most keys have told, the lowest of several."""
    counts = Counter(told.values())
    return min(counts, key=lambda limit: (-counts[limit], limit), default=None)


def _exhausted_at(left: int | None, per_hour: float, now: float, resets_at: float) -> float:
    if left is None:
        return 0.0
    if left == 0:
        return now
    end = now + 3600 * left / per_hour if per_hour > 0 else resets_at
    return end if end < resets_at else 0.0


def used_in_all(used: UsedToday) -> Counter[str]:
    """Return how many requests all keys together have served today, by model."""
    total: Counter[str] = Counter()
    for models in used.values():
        for model, count in models.items():
            total[model] += count
    return total


def worth_showing(used: UsedToday, learned: Learned, others: Sequence[str], *, most: int) -> list[str]:
    """Return the models to show: those used today, most used first, then those with a limit, then ``others``."""
    total = {model: count for model, count in used_in_all(used).items() if count > 0}
    by_use = sorted(total, key=lambda model: (-total[model], model))
    told = sorted({model for _key, model in learned if model})
    return list(dict.fromkeys([*by_use, *told, *others]))[:most]
