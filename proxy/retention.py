"""Forgets what is older than it has to be, a little at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import Error, connections
from django.db.models import QuerySet
from django.utils import timezone

from keys.models import Park, Usage
from proxy import request_id
from proxy.models import RequestLog, ThoughtSignature
from proxy.signatures import LIFETIME

logger = logging.getLogger(__name__)

STEP: Final = 500
HOUR_SECONDS: Final = 3600.0
# Between two steps others may write: SQLite has one writer at a time.
PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were forgotten."""

    logs: int
    usage: int
    parks: int
    signatures: int


def prune(now: datetime, days: int, *, pause: float = 0.0) -> Pruned:
    """Delete logs and addresses' usage older than ``days``, ended parks and expired signatures. Synchronous.

    ``pause`` is how many seconds to leave to others after each step of 500 rows.
    """
    border = now - timedelta(days=days)
    logs = _prune_logs(border, pause)
    # An address is personal: its counts go with the logs. Members' and keys' stay, they are few.
    usage = _in_steps(Usage.objects.filter(kind=Usage.Kind.ADDRESS, day__lt=border.date()), pause)
    signatures = ThoughtSignature.objects.filter(created_at__lt=now - LIFETIME)
    parks = Park.objects.filter(until__lt=now)
    # One statement with its condition: a park that is renewed this very moment stays. Nobody needs a signal.
    return Pruned(logs, usage, parks._raw_delete(parks.db), _in_steps(signatures, pause))


def _prune_logs(border: datetime, pause: float) -> int:
    # Ids sort by time, so the oldest requests lie together at one end of the primary key.
    older = RequestLog.objects.filter(pk__lt=request_id.first(border.timestamp())).order_by("pk")
    count = 0
    while ids := list(older.values_list("pk", flat=True)[:STEP]):
        RequestLog.objects.filter(pk__in=ids).delete()
        count += len(ids)
        time.sleep(pause)
    return count


def _in_steps(older: QuerySet[Any], pause: float) -> int:
    """Delete rows that nobody needs a signal of, and that may be renewed meanwhile; return how many."""
    count = 0
    while ids := list(older.values_list("pk", flat=True)[:STEP]):
        expired = older.filter(pk__in=ids)
        count += expired._raw_delete(expired.db)
        time.sleep(pause)
    return count


async def keep_pruned(days: Callable[[], int], *, seconds: float = HOUR_SECONDS) -> None:
    """Until cancelled: prune now, then each hour; ``days`` is asked anew each time."""
    while True:
        await asyncio.to_thread(_prune_quietly, days())
        await asyncio.sleep(seconds)


def _prune_quietly(days: int) -> None:
    try:
        pruned = prune(timezone.now(), days, pause=PAUSE_SECONDS)
    except Error as error:
        logger.warning("Old logs could not be deleted (%s); the next try is in an hour.", type(error).__name__)
        return
    finally:
        connections.close_all()
    if pruned.logs:
        logger.info("Deleted %d request logs older than %d days.", pruned.logs, days)
