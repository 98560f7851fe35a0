"""The number that moves when anything the runtime is made of has changed, and who hears of it in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save

from keys.models import Group, Key, Member, ModelLimit, Park
from proxy.models import BlockedModel, RecordingWish, Revision, Settings, UpstreamModel

ONLY_ROW: Final = 1

_watchers: set[Callable[[], None]] = set()
_lock = threading.Lock()


def number() -> int:
    """Return the revision as it is in the database. Synchronous, as all of this."""
    return Revision.objects.filter(pk=ONLY_ROW).values_list("number", flat=True).first() or 0


def advance() -> int:
    """Move the revision and return its new number; take part in the caller's transaction."""
    if not Revision.objects.filter(pk=ONLY_ROW).update(number=F("number") + 1):
        Revision.objects.get_or_create(pk=ONLY_ROW, defaults={"number": 1})
    return number()


def bump() -> int:
    """Move the revision, return its new number, and wake this process once that is committed."""
    with transaction.atomic():
        moved_to = advance()
        transaction.on_commit(wake)
    return moved_to


def wake() -> None:
    """Let every watcher of this process look at the revision now. Safe to call from any thread."""
    with _lock:
        watchers = tuple(_watchers)
    for watcher in watchers:
        watcher()


def listen(watcher: Callable[[], None]) -> None:
    """Call ``watcher`` at each wake, from whatever thread wakes."""
    with _lock:
        _watchers.add(watcher)


def unlisten(watcher: Callable[[], None]) -> None:
    """Call ``watcher`` no more."""
    with _lock:
        _watchers.discard(watcher)


def watch_models() -> None:
    """Let saved and deleted rows that the runtime is made of move the revision, on commit."""
    for model in (Key, Park, Member, Group, ModelLimit, BlockedModel, UpstreamModel, Settings, RecordingWish):
        for signal in (post_save, post_delete):
            signal.connect(_on_row_changed, sender=model, dispatch_uid="proxy.runtime")


def _on_row_changed(**_: object) -> None:
    # One transaction may change hundreds of rows (a deleted key takes its parks along); one bump tells of them all.
    if not any(entry[1] is _bump_on_commit for entry in connection.run_on_commit):
        transaction.on_commit(_bump_on_commit)


def _bump_on_commit() -> None:
    bump()
