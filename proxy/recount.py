"""Puts the ledger of a fresh process where the database says it stood: a restart resets no limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final, Protocol

from django.db.models import Sum
from django.utils import timezone

from keys.ledger.windows import MINUTE, PACIFIC, Window, address_day, key_day, member_day, member_minute, member_tokens
from keys.models import Usage
from proxy.models import Outcome, RequestLog

# Minutes follow one another from the first request on; a few of them back, a pause has most likely aligned them.
_LOOK_BACK: Final = timedelta(minutes=5)


class Restorable(Protocol):
    """A ledger that lives in this process."""

    def restore(self, name: str, used: int, resets_at: float) -> None:
        """Set a window as it stood before a restart."""


def recount(ledger: Restorable, now: datetime) -> None:
    """Restore today's windows from Usage and the running minutes from the request log. Synchronous."""
    zone = timezone.get_default_timezone()
    for window, used in (*_days(now, zone), *_key_days(now)):
        ledger.restore(window.name, max(used, 0), window.ends_at or now.timestamp())
    for member_id, taken in _recent_takes(now):
        used, ends_at = running_minute(taken, now.timestamp())
        if used:
            ledger.restore(member_minute(member_id, 0).name, used, ends_at)


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


def _key_days(now: datetime) -> Iterator[tuple[Window, int]]:
    for _, subject, requests, _ in _sums(now.astimezone(PACIFIC).date(), Usage.Kind.KEY):
        yield key_day(int(subject), 0, now.timestamp()), requests


def _sums(day: date, *kinds: Usage.Kind) -> Iterator[tuple[str, str, int, int]]:
    rows = Usage.objects.filter(day=day, kind__in=kinds).values_list("kind", "subject")
    sums = rows.annotate(asked=Sum("requests"), tokens=Sum("prompt_tokens") + Sum("completion_tokens"))
    yield from sums.values_list("kind", "subject", "asked", "tokens").iterator()


def _recent_takes(now: datetime) -> Iterator[tuple[int, Iterator[tuple[float, int]]]]:
    # What was refused took nothing from the minute.
    rows = RequestLog.objects.filter(started_at__gt=now - _LOOK_BACK, member__isnull=False)
    rows = rows.exclude(outcome=Outcome.REFUSED).order_by("member_id", "started_at")
    taken = rows.values_list("member_id", "started_at", "answers").iterator()
    for member_id, group in groupby(taken, key=lambda row: row[0]):
        if member_id is not None:
            yield member_id, ((started_at.timestamp(), answers) for _, started_at, answers in group)
