"""What the pages of keys tell beside the rows: use, success, last errors, states. A few queries for a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Count, Max, Q, Sum

from keys import vault
from keys.ledger.windows import PACIFIC, key_limit
from keys.models import Key, Park, Usage
from proxy.models import Attempt, Outcome
from proxy.runtime import current_behaviour

LOOK_BACK: Final = timedelta(hours=24)
CHART_DAYS: Final = 14
_GOOD: Final = Outcome.ANSWERED
# These say nothing about the key.
_NEUTRAL: Final = frozenset({Outcome.LOST_RACE, Outcome.CANCELLED, Outcome.BAD_REQUEST, Outcome.BLOCKED})


class State(StrEnum):
    """Whether the pool may use a key; an undecryptable one is out for every model."""

    READY = "ready"
    PARKED = "parked"
    EXHAUSTED = "exhausted"
    DISABLED = "disabled"
    UNDECRYPTABLE = "undecryptable"


@dataclass(frozen=True, slots=True)
class Facts:
    """About one key: answers of its Google day and their limit (0: none), attempts of the last 24 hours, parks.

    ``error`` is the latest sentence of a failed attempt, ``failed_at`` its time.
    """

    state: State
    parks: tuple[Park, ...] = ()
    used: int = 0
    limit: int = 0
    good: int = 0
    tried: int = 0
    error: str = ""
    failed_at: datetime | None = None

    @property
    def success(self) -> int | None:
        """Percent of attempts that were answered; None when there were none."""
        return round(100 * self.good / self.tried) if self.tried else None


@dataclass(slots=True)
class _Tried:
    good: int = 0
    tried: int = 0
    failed: datetime | None = None


def google_day(now: datetime) -> date:
    """Return the day that keys are counted by."""
    return now.astimezone(PACIFIC).date()


def facts_of(keys: Sequence[Key], now: datetime) -> dict[int, Facts]:
    """Return the facts about these keys, by id."""
    ids = [key.pk for key in keys]
    used, tried, parks = _used(ids, now), _tried(ids, now), _parks(ids, now)
    errors = _errors(tried)
    default = current_behaviour().api_key_daily_limit
    found = {}
    for key in keys:
        limit = key_limit(key.kind, key.daily_limit, default)
        count, seen = used.get(key.pk, 0), tried.get(key.pk, _Tried())
        found[key.pk] = Facts(
            state=_state(key, parks[key.pk], limit, count),
            parks=tuple(parks[key.pk]),
            used=count,
            limit=limit,
            good=seen.good,
            tried=seen.tried,
            error=errors.get(key.pk, ""),
            failed_at=seen.failed,
        )
    return found


def ids_in_state(wanted: State, now: datetime) -> set[int]:
    """Return the ids of all keys in a state. Decrypts each key: some 60 us."""
    keys = list(Key.objects.all())
    ids = [key.pk for key in keys]
    used, parks = _used(ids, now), _parks(ids, now)
    default = current_behaviour().api_key_daily_limit
    return {
        key.pk
        for key in keys
        if _state(key, parks[key.pk], key_limit(key.kind, key.daily_limit, default), used.get(key.pk, 0)) is wanted
    }


def is_readable(key: Key) -> bool:
    """True when the secret can be decrypted with the present SECRET_KEY."""
    try:
        vault.decrypt(key.ciphertext)
    except vault.Undecryptable:
        return False
    return True


def _state(key: Key, parks: Sequence[Park], limit: int, used: int) -> State:
    if not key.is_enabled:
        return State.DISABLED
    if not is_readable(key):
        return State.UNDECRYPTABLE
    if limit and used >= limit:
        return State.EXHAUSTED
    return State.PARKED if parks else State.READY


def _used(ids: Collection[int], now: datetime) -> dict[int, int]:
    rows = Usage.objects.filter(kind=Usage.Kind.KEY, day=google_day(now), subject__in=[str(one) for one in ids])
    sums = rows.values_list("subject").annotate(asked=Sum("requests"))
    return {int(subject): asked for subject, asked in sums}


def _parks(ids: Collection[int], now: datetime) -> Mapping[int, list[Park]]:
    found: dict[int, list[Park]] = defaultdict(list)
    for park in Park.objects.filter(key__in=ids, until__gt=now).order_by("until"):
        found[park.key_id].append(park)
    return found


def _tried(ids: Collection[int], now: datetime) -> dict[int, _Tried]:
    # One index holds all three columns, so that no row of a table of millions is touched.
    rows = Attempt.objects.filter(key__in=ids, started_at__gte=now - LOOK_BACK).order_by()
    counted = rows.values_list("key_id", "outcome").annotate(count=Count("pk"), last=Max("started_at"))
    found: dict[int, _Tried] = defaultdict(_Tried)
    for key_id, outcome, count, last in counted:
        if key_id is None or outcome in _NEUTRAL:
            continue
        one = found[key_id]
        one.tried += count
        if outcome == _GOOD:
            one.good += count
        elif one.failed is None or last > one.failed:
            one.failed = last
    return dict(found)


def _errors(tried: Mapping[int, _Tried]) -> dict[int, str]:
    """Return the sentences of the latest failures, found by key and time."""
    places = [Q(key_id=key_id, started_at=one.failed) for key_id, one in tried.items() if one.failed is not None]
    if not places:
        return {}
    rows = Attempt.objects.filter(reduce(or_, places)).exclude(outcome=_GOOD).order_by()
    return {key_id: message for key_id, message in rows.values_list("key_id", "message") if key_id is not None}


@dataclass(frozen=True, slots=True)
class Day:
    """What a key did on one of its days."""

    day: date
    requests: int
    tokens: int


@dataclass(slots=True)
class ModelUse:
    """What a key did with one model in the days of the chart, and whether it rests for it."""

    model: str
    requests: int = 0
    tokens: int = 0
    park: Park | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The days of the chart, oldest first, and the models, most used first."""

    days: tuple[Day, ...]
    models: tuple[ModelUse, ...] = field(default=())

    @property
    def has_use(self) -> bool:
        """True when there is anything to draw."""
        return any(day.requests for day in self.days)


def history_of(key: Key, parks: Iterable[Park], now: datetime) -> History:
    """Return what the last 14 days brought to a key."""
    today = google_day(now)
    first = today - timedelta(days=CHART_DAYS - 1)
    by_day: dict[date, list[int]] = {first + timedelta(days=number): [0, 0] for number in range(CHART_DAYS)}
    models: dict[str, ModelUse] = {}
    rows = Usage.objects.filter(kind=Usage.Kind.KEY, subject=str(key.pk), day__gte=first, day__lte=today)
    for row in rows:
        tokens = row.prompt_tokens + row.completion_tokens
        by_day[row.day][0] += row.requests
        by_day[row.day][1] += tokens
        use = models.setdefault(row.model, ModelUse(row.model))
        use.requests += row.requests
        use.tokens += tokens
    for park in parks:
        models.setdefault(park.model or "*", ModelUse(park.model or "*")).park = park
    days = tuple(Day(day, requests, tokens) for day, (requests, tokens) in by_day.items())
    return History(days, tuple(sorted(models.values(), key=lambda use: (-use.requests, use.model))))
