"""The journal: one thread that writes what requests did, many of them in one commit, and loses none."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Final

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.utils import IntegrityError, InterfaceError, InternalError, OperationalError, ProgrammingError

from proxy import request_id
from proxy.journal_rows import AttemptRecord, Change, Record, Rows, SignatureRow, UsageDelta

__all__ = ["AttemptRecord", "Change", "Journal", "Record", "SignatureRow", "UsageDelta"]

logger = logging.getLogger(__name__)

BOUND: Final = 10_000
LARGEST_BATCH: Final = 500
PATIENCE_SECONDS: Final = 2.0
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 5.0

# These come and go with the database: locked, unreachable, full, not yet migrated. All other errors are the row's.
_AWAY: Final = (OperationalError, InterfaceError, InternalError, ProgrammingError)

_Waiter = asyncio.Future[None]
_Entry = tuple[Record | Sequence[Change], _Waiter | None]


class _OutOfTimeError(Exception):
    """The journal has to stop while the database is still away."""


@dataclass(slots=True)
class _Work:
    """What one transaction writes."""

    records: list[Record] = field(default_factory=list)
    usage: list[UsageDelta] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    signatures: list[SignatureRow] = field(default_factory=list)

    @classmethod
    def of(cls, sources: Sequence[Record | Sequence[Change]]) -> _Work:
        work = cls()
        for source in sources:
            if isinstance(source, Record):
                work.records.append(source)
                work.changes += source.changes
            else:
                work.changes += source
        return work

    def pieces(self) -> Iterator[_Work]:
        """The smallest works this one is made of, so that a bad one costs nothing but itself."""
        usage = [delta for record in self.records for delta in record.usage]
        signatures = [row for record in self.records for row in record.signatures]
        yield from (_Work(changes=[change]) for change in self.changes)
        yield from (_Work(usage=[delta]) for delta in usage)
        yield from (_Work(signatures=[row]) for row in signatures)
        yield from (_Work(records=[_bare(record)]) for record in self.records)


class Journal:
    """Writes records in one thread with one connection, as many per commit as have come meanwhile.

    ``on_changes_written(changes, revision)`` is called in the event loop once parks and disablings are
    committed. ``bound`` is how many entries may wait before ``is_full``; those already promised are kept
    beyond it.
    """

    def __init__(
        self,
        on_changes_written: Callable[[Sequence[Change], int], None],
        *,
        bound: int = BOUND,
        alias: str = DEFAULT_DB_ALIAS,
    ) -> None:
        self._on_changes_written = on_changes_written
        self._bound = bound
        self._alias = alias
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        # Each number has one writer (the event loop, the thread), so neither needs a lock.
        self._put_count = 0
        self._settled_count = 0
        self._late_count = 0
        self._lost_count = 0
        self._skipped_count = 0
        # Somebody has waited in vain, and nothing was committed since. Only the event loop looks at it.
        self._is_behind = False
        self._away_since: float | None = None
        self._last_call: float | None = None
        self._hurry = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @property
    def depth(self) -> int:
        """How many entries wait to be committed."""
        return self._put_count - self._settled_count

    @property
    def bound(self) -> int:
        """How many entries may wait before new requests are refused."""
        return self._bound

    @property
    def written(self) -> int:
        """How many entries were committed."""
        return self._settled_count - self._lost_count

    @property
    def late(self) -> int:
        """How many answers went out before their row was committed, for the wait had ended."""
        return self._late_count

    @property
    def lost(self) -> int:
        """How many entries could not be written whole: the database took no such row."""
        return self._lost_count

    @property
    def skipped(self) -> int:
        """How many refusals have no entry: they came while the queue was full."""
        return self._skipped_count

    @property
    def away_seconds(self) -> float:
        """How long the database has been away; 0 while it is there."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def is_full(self) -> bool:
        """True when no further request should be begun: the database has been away for too long."""
        return self.depth >= self._bound

    def start(self) -> None:
        """Begin to write. Called once, in the event loop that the waiters run in."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self, record: Record) -> None:
        """Hand over a finished request; return when it is committed, or after 2 s: it then stays queued."""
        waiter = self._loop.create_future()
        self._put((record, waiter))
        timer = self._loop.call_later(PATIENCE_SECONDS, self._wait_no_longer, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def _wait_no_longer(self, waiter: _Waiter) -> None:
        if not waiter.done():
            self._late_count += 1
            self._is_behind = True
        _wake_all([waiter])

    async def close_refused(self, record: Record) -> None:
        """Hand over a request that was refused before anything was done for it.

        As close, while the database keeps up. Afterwards it must cost its client no wait, and once the queue is full
        no room: whoever asks again and again would fill the memory.
        """
        if self.is_full:
            self._skipped_count += 1
        elif self._is_behind:
            self.post(record)
        else:
            await self.close(record)

    def post(self, source: Record | Sequence[Change]) -> None:
        """Hand over a record, or parks and disablings, without waiting."""
        self._put((source, None))

    async def stop(self, seconds: float = 10.0) -> None:
        """Write everything queued, then end; give up after ``seconds`` when the database is away."""
        if not self._thread.is_alive():
            return
        self._last_call = time.monotonic() + seconds
        self._queue.put(None)
        self._hurry.set()
        await asyncio.to_thread(self._thread.join, seconds)
        if self.depth:
            logger.error("The journal ends with %d entries unwritten: the database is away.", self.depth)

    def _put(self, entry: _Entry) -> None:
        self._put_count += 1
        self._queue.put(entry)

    def _run(self) -> None:
        try:
            self._rows = Rows(self._alias)
            while batch := self._next_batch():
                self._write(batch)
        except _OutOfTimeError:
            return
        finally:
            connections.close_all()

    def _next_batch(self) -> list[_Entry]:
        """Wait for an entry and return it with all that have come by then; empty when the journal ends."""
        batch: list[_Entry] = []
        while not batch and not (self._is_stopping and self._queue.empty()):
            self._take(batch)
            while len(batch) < LARGEST_BATCH and not self._queue.empty():
                self._take(batch)
        return batch

    def _take(self, batch: list[_Entry]) -> None:
        entry = self._queue.get()
        if entry is None:
            self._is_stopping = True
        else:
            batch.append(entry)

    def _write(self, batch: list[_Entry]) -> None:
        work = _Work.of([source for source, _ in batch])
        try:
            revision = self._persist(work)
        except _OutOfTimeError:
            raise
        except Exception as error:  # Whatever is wrong with one row must not stop the others.
            if len(batch) == 1:
                self._settle(batch, work.changes, self._salvage(work, error))
            else:
                for entry in batch:
                    self._write([entry])
            return
        self._settle(batch, work.changes, revision)

    def _salvage(self, work: _Work, error: Exception) -> int | None:
        """Write what can be written of an entry that cannot be written whole."""
        self._lost_count += 1
        for record in work.records:
            logger.error("%s cannot be logged whole (%s).", request_id.shown(record.id), type(error).__name__)
        revision = None
        for piece in work.pieces():
            try:
                revision = self._persist(piece) or revision
            except _OutOfTimeError:
                raise
            except Exception as why:  # As above.
                logger.error("A part of it is lost (%s).", type(why).__name__)
        return revision

    def _persist(self, work: _Work) -> int | None:
        """Commit ``work``, however long the database is away; return the revision if it moved."""
        pause, is_repeated, is_sure = FIRST_PAUSE_SECONDS, False, False
        while True:
            try:
                revision = self._commit(work, is_repeated)
            except _AWAY as error:
                self._wait_for_database(error, pause, is_first=not is_repeated)
                pause, is_repeated = min(2 * pause, LONGEST_PAUSE_SECONDS), True
            except IntegrityError:
                # A commit whose answer was lost may come true only while this one waits for it: look once more.
                if not is_repeated or is_sure:
                    raise
                is_sure = True
            else:
                self._away_since = None
                if is_repeated:
                    logger.info("The database is back; %d entries wait.", self.depth)
                return revision

    def _commit(self, work: _Work, is_repeated: bool) -> int | None:
        records = work.records
        with transaction.atomic(using=self._alias):
            if is_repeated:
                # The commit before may have happened although its answer was lost; counting twice would lie.
                done = self._rows.written([record.id for record in records])
                records = [record for record in records if record.id not in done]
            self._rows.write_logs(records)
            self._rows.write_usage([*work.usage, *(delta for record in records for delta in record.usage)])
            self._rows.write_signatures([*work.signatures, *(row for record in records for row in record.signatures)])
            return self._rows.write_changes(work.changes)

    def _wait_for_database(self, error: Exception, pause: float, *, is_first: bool) -> None:
        if is_first:
            self._away_since = time.monotonic()
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            logger.warning("The database is away (%s); %d entries wait.", reason, self.depth)
        connections[self._alias].close()
        if self._last_call is not None and time.monotonic() + pause > self._last_call:
            raise _OutOfTimeError
        # stop() sets it, which ends this pause at once; the pauses after that are slept in full.
        if self._hurry.wait(pause):
            self._hurry.clear()

    def _settle(self, batch: Sequence[_Entry], changes: Sequence[Change], revision: int | None) -> None:
        self._settled_count += len(batch)
        waiters = [waiter for _, waiter in batch if waiter is not None]
        try:
            self._loop.call_soon_threadsafe(self._tell, waiters, changes, revision)
        except RuntimeError:
            # The event loop has ended; nobody waits any more.
            return

    def _tell(self, waiters: Sequence[_Waiter], changes: Sequence[Change], revision: int | None) -> None:
        self._is_behind = False
        _wake_all(waiters)
        if revision is not None:
            self._on_changes_written(changes, revision)


def _wake_all(waiters: Sequence[_Waiter]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _bare(record: Record) -> Record:
    return replace(record, usage=[], changes=[], signatures=[])
