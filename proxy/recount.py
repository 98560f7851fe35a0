"""Puts the ledger of a fresh process where the database says it stood: a restart resets no limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final, Protocol

from django.db.models import Sum
from django.utils import timezone

from keys.ledger.windows import (
    MINUTE,
    PACIFIC,
    Window,
    address_day,
    key_day,
    member_day,
    member_minute,
    member_tokens,
    model_day,
    model_minute,
    model_tokens,
)
from keys.members import MemberView
from keys.models import Usage
from proxy import membership, request_id
from proxy.models import Outcome, RequestLog
from proxy.translation.profiles import resolve

# Minutes follow one another from the first request on; a few of them back, a pause has most likely aligned them.
_LOOK_BACK: Final = timedelta(minutes=5)


class Restorable(Protocol):
    """A ledger that lives in this process."""

    def restore(self, name: str, used: int, resets_at: float) -> None:
        """Set a window as it stood before a restart."""


def recount(ledger: Restorable, now: datetime) -> None:
    """Restore today's windows from Usage and the running minutes from the request log. Synchronous."""
    zone = timezone.get_default_timezone()
    members = {member.id: member for member in membership.by_digest().values()}
    for window, used in (*_days(now, zone), *_key_days(now), *_model_days(members.values(), now, zone)):
        ledger.restore(window.name, max(used, 0), window.ends_at or now.timestamp())
    for member_id, taken in _recent_takes(now):
        for window, starts in _minutes(member_id, members.get(member_id), taken):
            used, ends_at = running_minute(starts, now.timestamp())
            if used:
                ledger.restore(window.name, used, ends_at)


def used_today(members: Collection[MemberView], now: datetime) -> list[tuple[Window, int]]:
    """Return what the windows of today that limit these members stand at, as far as it is written. Synchronous."""
    zone, seconds = timezone.get_default_timezone(), now.timestamp()
    used = _by_model(members, now, zone)
    whole = [
        (window, sum(model[index] for model in used.get(member.id, {}).values()))
        for member in members
        for index, window in enumerate(
            (
                member_day(member.id, member.requests_per_day or 0, seconds, zone),
                member_tokens(member.id, member.tokens_per_day or 0, seconds, zone),
            )
        )
    ]
    found = [*whole, *_model_days(members, now, zone)]
    return [(window, count) for window, count in found if window.limit and count > 0]


def newly_limited(before: Mapping[str, MemberView], after: Mapping[str, MemberView]) -> list[MemberView]:
    """Return the members of ``after`` (by digest) who have a limit for the day that they had not ``before``."""
    had = {member.id: _day_limits(member) for member in before.values()}
    return [member for member in after.values() if _day_limits(member) - had.get(member.id, frozenset())]


def _day_limits(member: MemberView) -> frozenset[tuple[str, str]]:
    own = (("", "requests", member.requests_per_day), ("", "tokens", member.tokens_per_day))
    models = (
        (limit.pattern, kind, number)
        for limit in member.model_limits
        for kind, number in (("requests", limit.requests_per_day), ("tokens", limit.tokens_per_day))
    )
    return frozenset((pattern, kind) for pattern, kind, number in (*own, *models) if number)


def running_minute(taken: Iterable[tuple[float, int]], now: float) -> tuple[int, float]:
    """Lay out in minutes what was taken when (ascending, seconds); return the last one's count and end, 0 if over."""
    used, ends_at = 0, 0.0
    for start, count in taken:
        used, ends_at = (used + count, ends_at) if start < ends_at else (count, start + MINUTE)
    return (used, ends_at) if ends_at > now else (0, ends_at)


def _days(now: datetime, zone: tzinfo) -> Iterator[tuple[Window, int]]:
    seconds = now.timestamp()
    for kind, subject, requests, tokens in _sums(now.astimezone(zone).date(), Usage.Kind.MEMBER, Usage.Kind.ADDRESS):
        if kind == Usage.Kind.ADDRESS:
            yield address_day(subject, 0, seconds, zone), requests
        else:
            yield member_day(int(subject), 0, seconds, zone), requests
            yield member_tokens(int(subject), 0, seconds, zone), tokens


def _model_days(members: Iterable[MemberView], now: datetime, zone: tzinfo) -> Iterator[tuple[Window, int]]:
    limited = [member for member in members if member.model_limits]
    used = _by_model(limited, now, zone)
    for member in limited:
        counts = used.get(member.id, {})
        for limit in member.model_limits:
            covered = [counts[model] for model in counts if limit.covers(model)]
            requests, tokens = (sum(count[index] for count in covered) for index in (0, 1))
            yield model_day(member.id, limit.pattern, limit.requests_per_day, now.timestamp(), zone), requests
            yield model_tokens(member.id, limit.pattern, limit.tokens_per_day, now.timestamp(), zone), tokens


def _by_model(members: Iterable[MemberView], now: datetime, zone: tzinfo) -> dict[int, dict[str, tuple[int, int]]]:
    """Return the requests and tokens of today, by member and model."""
    subjects = [str(member.id) for member in members]
    used: dict[int, dict[str, tuple[int, int]]] = {}
    if subjects:
        today = now.astimezone(zone).date()
        rows = Usage.objects.filter(day=today, kind=Usage.Kind.MEMBER, subject__in=subjects)
        for row in rows:
            tokens = row.prompt_tokens + row.completion_tokens
            used.setdefault(int(row.subject), {})[row.model] = (row.requests, tokens)
    return used


def _minutes(
    member_id: int, member: MemberView | None, taken: Iterable[tuple[float, int, str]]
) -> Iterator[tuple[Window, Iterable[tuple[float, int]]]]:
    """Lay out what a member took lately (when, how many, of which model) for each of its minute windows."""
    taken = list(taken)
    yield member_minute(member_id, 0), [(start, count) for start, count, _ in taken]
    for limit in member.model_limits if member else ():
        covered = [(start, count) for start, count, model in taken if limit.covers(resolve(model).name)]
        yield model_minute(member_id, limit.pattern, 0), covered


def _key_days(now: datetime) -> Iterator[tuple[Window, int]]:
    for _, subject, requests, _ in _sums(now.astimezone(PACIFIC).date(), Usage.Kind.KEY):
        yield key_day(int(subject), 0, now.timestamp()), requests


def _sums(day: date, *kinds: Usage.Kind) -> Iterator[tuple[str, str, int, int]]:
    rows = Usage.objects.filter(day=day, kind__in=kinds).values_list("kind", "subject")
    sums = rows.annotate(asked=Sum("requests"), tokens=Sum("prompt_tokens") + Sum("completion_tokens"))
    yield from sums.values_list("kind", "subject", "asked", "tokens").iterator()


def _recent_takes(now: datetime) -> Iterator[tuple[int, Iterator[tuple[float, int, str]]]]:
    # What was refused took nothing from the minute.
    rows = RequestLog.objects.filter(pk__gte=request_id.first((now - _LOOK_BACK).timestamp()), member__isnull=False)
    rows = rows.exclude(outcome=Outcome.REFUSED).order_by("member_id", "started_at")
    taken = rows.values_list("member_id", "started_at", "answers", "model").iterator()
    for member_id, group in groupby(taken, key=lambda row: row[0]):
        if member_id is not None:
            yield member_id, ((started_at.timestamp(), answers, model) for _, started_at, answers, model in group)
