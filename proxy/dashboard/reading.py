"""What the dashboard asks the database now and then, in a thread, while somebody watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, QuerySet, Sum, Value

from keys.headroom import Learned, UsedToday
from keys.ledger.windows import PACIFIC
from keys.models import LearnedLimit, Member, Usage
from keys.rules import UNSERVED
from proxy import request_id
from proxy.dashboard.parts import Tally, added
from proxy.live import MINUTES
from proxy.models import Attempt, RequestLog

TOP_MEMBERS: Final = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """What the database says of today. ``members`` are the busiest: name, requests, tokens."""

    used: UsedToday = field(default_factory=dict)
    learned: Learned = field(default_factory=dict)
    members: tuple[dict[str, Any], ...] = ()


def today(now: datetime, zone: tzinfo) -> Reading:
    """Read what keys and members have used of their days. Synchronous."""
    return Reading(used_by_keys(now), learned_limits(), _busiest(now, zone))


def used_by_keys(now: datetime) -> UsedToday:
    """Return how many requests of Google's day each key has served, by model."""
    day = now.astimezone(PACIFIC).date()
    rows = Usage.objects.filter(day=day, kind=Usage.Kind.KEY).values_list("subject", "model", "requests")
    used: dict[int, dict[str, int]] = {}
    for subject, model, requests in rows.iterator():
        used.setdefault(int(subject), {})[model] = requests
    return used


def learned_limits() -> Learned:
    """Return what Google has told about its day quotas."""
    rows = LearnedLimit.objects.values_list("key_id", "model", "per_day")
    return {(key_id, model): per_day for key_id, model, per_day in rows.iterator()}


def _busiest(now: datetime, zone: tzinfo) -> tuple[dict[str, Any], ...]:
    # Summed here: a GROUP BY lets SQLite go through the members' whole past.
    rows = Usage.objects.filter(day=now.astimezone(zone).date(), kind=Usage.Kind.MEMBER)
    sums: dict[int, tuple[int, int]] = {}
    for subject, *counts in rows.values_list("subject", "requests", "prompt_tokens", "completion_tokens").iterator():
        requests, tokens = sums.get(int(subject), (0, 0))
        sums[int(subject)] = requests + counts[0], tokens + counts[1] + counts[2]
    busiest = sorted((one for one in sums.items() if one[1][0] > 0), key=lambda one: (-one[1][0], one[0]))[:TOP_MEMBERS]
    names = _names([subject for subject, _ in busiest])
    return tuple(
        {"name": names[subject], "requests": requests, "tokens": tokens}
        for subject, (requests, tokens) in busiest
        if subject in names
    )


def _names(ids: list[int]) -> Mapping[int, str]:
    return dict(Member.objects.filter(pk__in=ids).values_list("pk", "name"))


def last_hour(now: datetime) -> list[Tally]:
    """Count the requests of the last hour minute by minute, by when they came; not those of this minute."""
    this_minute = now.replace(second=0, microsecond=0)
    since, until = (
        request_id.first(moment.timestamp()) for moment in (this_minute - timedelta(minutes=MINUTES), this_minute)
    )
    logs = RequestLog.objects.filter(pk__gte=since, pk__lt=until)
    tries = Attempt.objects.filter(request_id__gte=since, request_id__lt=until)
    return added([*_requests(logs), *_attempts(tries)])


def _requests(logs: QuerySet[RequestLog]) -> list[Tally]:
    rows = logs.annotate(minute=_minute("pk")).values("minute", "outcome")
    sums = rows.annotate(
        asked=Count("pk"),
        tokens=Sum("prompt_tokens") + Sum("completion_tokens"),
        waited=Sum("first_output_ms"),
        waits=Count("first_output_ms"),
    )
    return [
        Tally(
            row["minute"],
            requests={row["outcome"]: row["asked"]},
            tokens=row["tokens"],
            first_output_ms=row["waited"] or 0,
            first_outputs=row["waits"],
        )
        for row in sums.order_by()
    ]


def _attempts(tries: QuerySet[Attempt]) -> list[Tally]:
    rows = tries.annotate(minute=_minute("request_id")).values("minute", "outcome", "model")
    return [
        Tally(
            row["minute"],
            attempts={row["outcome"]: row["tries"]},
            served={} if row["outcome"] in UNSERVED else {row["model"]: row["tries"]},
        )
        for row in rows.annotate(tries=Count("pk")).order_by()
    ]


def _minute(column: str) -> ExpressionWrapper[Any]:
    """Return the minute since 1970 that a request id tells."""
    minutes = F(column) / Value(60_000 << request_id.LOW_BITS) + Value(request_id.EPOCH_MS // 60_000)
    return ExpressionWrapper(minutes, output_field=BigIntegerField())
