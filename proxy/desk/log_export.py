"""The log as a CSV file, written while it is read: a million rows never stand in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

from asgiref.sync import sync_to_async
from django.db.models import Prefetch, QuerySet

from proxy import request_id
from proxy.desk import csv_files
from proxy.models import Attempt, RequestLog

STEP: Final = 1_000
COLUMNS: Final = (
    "started_at",
    "member",
    "address",
    "dialect",
    "model",
    "stream",
    "outcome",
    "status",
    "code",
    "message",
    "attempt_count",
    "prompt_tokens",
    "completion_tokens",
    "thought_tokens",
    "cached_tokens",
    "first_output_ms",
    "duration_ms",
)


async def lines(logs: QuerySet[RequestLog]) -> AsyncIterator[str]:
    """Yield the file, a thousand requests at a time, newest first."""
    yield csv_files.BOM + csv_files.lines([("request_id", *COLUMNS, "attempts")])
    last: int | None = None
    while rows := await sync_to_async(_after)(logs, last):
        last = rows[-1].pk
        yield csv_files.lines(_cells(rows))


def _after(logs: QuerySet[RequestLog], last: int | None) -> list[RequestLog]:
    """Return the next rows; by the last id, for an offset would be counted anew at each step."""
    attempts = Attempt.objects.select_related("key").order_by("number")
    older = logs if last is None else logs.filter(pk__lt=last)
    return list(older.order_by("-pk").select_related("member").prefetch_related(Prefetch("attempts", attempts))[:STEP])


def _cells(rows: list[RequestLog]) -> Iterator[list[object]]:
    for row in rows:
        values = [getattr(row, column) for column in COLUMNS]
        values[0] = row.started_at.isoformat(timespec="milliseconds")
        values[1] = row.member.name if row.member else ""
        yield [request_id.shown(row.pk), *values, " ".join(map(_attempt, row.attempts.all()))]


def _attempt(one: Attempt) -> str:
    tail = f"…{one.key.tail}" if one.key else "?"
    return f"{tail}:{one.outcome}:{one.duration_ms}ms"
