"""Records a member's next requests, because that member asked for it: for that member's eyes only, for a day.

What is recorded is encrypted with a key made of the member's own password and this installation's pepper. Whoever
has the database, or SECRET_KEY as well, reads nothing of it; a new password leaves it unreadable.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction

from keys import vault
from keys.models import Source
from proxy import request_id
from proxy.models import Recording, RecordingWish

LIFETIME: Final = timedelta(hours=24)
MOST: Final = 20
PRUNE_SECONDS: Final = 600.0
# Of each side this much is kept; the rest of a picture tells nobody anything.
MOST_BYTES: Final = 256 * 1024

T = TypeVar("T")
Send = Callable[[dict[str, Any]], Awaitable[None]]
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tape:
    """One request being recorded: what came, and what went out."""

    member_id: int
    password: str = field(repr=False)
    number: int
    path: str
    asked: bytes = field(repr=False)
    status: int = 0
    answered: bytearray = field(default_factory=bytearray, repr=False)

    def hear(self, piece: bytes) -> None:
        """Take a piece of the answer."""
        if len(self.answered) < MOST_BYTES:
            self.answered += piece[: MOST_BYTES - len(self.answered)]

    def beside(self, send: Send) -> Send:
        """Return ``send`` so that everything it sends is heard."""

        async def heard(message: dict[str, Any]) -> None:
            self.hear(message.get("body", b""))
            await send(message)

        return heard

    def text(self) -> str:
        """Return everything as one text."""
        said = {
            "request_id": request_id.shown(self.number),
            "path": self.path,
            "status": self.status,
            "request": self.asked[:MOST_BYTES].decode(errors="replace"),
            "answer": self.answered.decode(errors="replace"),
        }
        return json.dumps(said, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a member has: how many requests are still to be recorded, until when, and the recordings so far."""

    left: int
    until: datetime | None
    recordings: tuple[dict[str, Any], ...]


class Recorder:
    """Keeps tapes, and finds them again. Everything that touches the database runs in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    def keep(self, tape: Tape) -> None:
        """Write a tape down, soon; nobody waits for it."""
        self._thread.submit(_guarded, lambda: _store(tape, datetime.now(UTC)))

    async def wish(self, member_id: int, count: int) -> None:
        """Let the member's next ``count`` requests be recorded, instead of what was wished before."""
        await self._in_thread(lambda: _wish(member_id, count, datetime.now(UTC)))

    async def forget(self, member_id: int) -> None:
        """Record no more, and delete what was recorded."""
        await self._in_thread(lambda: _forget(member_id))

    async def shelf(self, member_id: int, password: str) -> Shelf:
        """Return what the member has."""
        return await self._in_thread(lambda: _shelf(member_id, password, datetime.now(UTC)))

    async def keep_pruned(self) -> None:
        """Until cancelled: delete what is older than a day."""
        while True:
            await self._in_thread(lambda: _guarded(lambda: prune(datetime.now(UTC))))
            await asyncio.sleep(PRUNE_SECONDS)

    def close(self) -> None:
        """Write what is queued, and close the connection."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _reconnecting, work)


def prune(now: datetime) -> int:
    """Delete wishes and recordings that are a day old; return how many recordings. Synchronous."""
    for wish in RecordingWish.objects.filter(created_at__lte=now - LIFETIME):
        wish.delete()
    return Recording.objects.filter(created_at__lte=now - LIFETIME).delete()[0]


def wishing_members() -> frozenset[int]:
    """Return the members whose requests are recorded now. Synchronous."""
    wishes = RecordingWish.objects.filter(created_at__gt=datetime.now(UTC) - LIFETIME)
    # A wish may be older than the environment's hold on its member.
    wishes = wishes.exclude(member__source=Source.ENVIRONMENT)
    return frozenset(wishes.values_list("member_id", flat=True))


def _reconnecting(work: Callable[[], T]) -> T:
    try:
        return work()
    except (DatabaseError, InterfaceError):
        # A connection that broke stays broken: the next one that asks opens another.
        connections.close_all()
        raise


def _guarded(work: Callable[[], object]) -> None:
    try:
        _reconnecting(work)
    except Exception as error:
        logger.warning("A recording was not kept (%s).", type(error).__name__)


@transaction.atomic
def _store(tape: Tape, now: datetime) -> None:
    wish = RecordingWish.objects.select_for_update().filter(member_id=tape.member_id).first()
    if wish is None or wish.created_at <= now - LIFETIME:
        return
    Recording.objects.create(
        member_id=tape.member_id, ciphertext=vault.sealed(tape.text(), tape.password), created_at=now
    )
    if wish.left > 1:
        RecordingWish.objects.filter(pk=wish.pk).update(left=wish.left - 1)
    else:
        # The runtime is told by the signal.
        wish.delete()


@transaction.atomic
def _wish(member_id: int, count: int, now: datetime) -> None:
    RecordingWish.objects.update_or_create(member_id=member_id, defaults={"left": count, "created_at": now})


@transaction.atomic
def _forget(member_id: int) -> None:
    for wish in RecordingWish.objects.filter(member_id=member_id):
        wish.delete()
    Recording.objects.filter(member_id=member_id).delete()


def _shelf(member_id: int, password: str, now: datetime) -> Shelf:
    wish = RecordingWish.objects.filter(member_id=member_id, created_at__gt=now - LIFETIME).first()
    rows = Recording.objects.filter(member_id=member_id, created_at__gt=now - LIFETIME).order_by("pk")
    found = [(row.created_at, vault.opened(row.ciphertext, password)) for row in rows]
    recordings = tuple(
        {"at": created_at.isoformat(timespec="seconds"), **json.loads(text)} for created_at, text in found if text
    )
    return Shelf(wish.left if wish else 0, wish.created_at + LIFETIME if wish else None, recordings)
