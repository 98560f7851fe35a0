"""The journal against real databases: nothing acknowledged is lost, nothing is counted twice."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.db.models import Sum

from keys.models import Key, LearnedLimit, Park, Usage
from keys.pool import Disabling, ParkRow
from keys.rules import Outcome, ParkReason
from proxy import journal as journal_module
from proxy import request_id
from proxy.journal import AttemptRecord, Change, Journal, Record, UsageDelta
from proxy.models import Attempt, RequestLog, Revision
from tests.databases import BACKENDS, ON_POSTGRES, database, in_thread, locked, until

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)
TODAY = date(2026, 8, 22)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def data(backend: str, tmp_path: Path, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    with django_db_blocker.unblock(), database(backend, tmp_path):
        yield backend


@pytest.fixture
def sqlite_file(tmp_path: Path, django_db_blocker: pytest.FixtureRequest) -> Iterator[Path]:
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        yield tmp_path / "hajimi.sqlite3"


def record(number: int = 0, **fields: object) -> Record:
    return Record(id=request_id.new(NOW.timestamp()), started_at=NOW, duration_ms=number, **fields)


def tokens(count: int, subject: str = "1", requests: int = 1) -> UsageDelta:
    return UsageDelta("member", subject, TODAY, "gemini-2.5-flash", requests, count, 2 * count)


def park(key_id: int, minutes: int = 10, model: str = "gemini-2.5-pro") -> ParkRow:
    return ParkRow(key_id, model, ParkReason.PER_DAY, NOW + timedelta(minutes=minutes), "PerDay", NOW)


def make_key(digest: str = "a") -> Key:
    return Key.objects.create(ciphertext="-", digest=digest, tail="x7Qk")


@asynccontextmanager
async def running(
    heard: Callable[[Sequence[Change], int], None] = lambda changes, revision: None, **options: object
) -> AsyncIterator[Journal]:
    journal = Journal(heard, **options)
    journal.start()
    try:
        yield journal
    finally:
        await journal.stop()


async def test_it_has_committed_every_row_when_close_returns(data: str) -> None:
    def is_there(number: int) -> bool:
        return RequestLog.objects.filter(pk=number).exists()

    missing = []
    async with running() as journal:
        for number in range(20):
            one = record(number)
            await journal.close(one)
            missing += [one.id] if not await in_thread(lambda one=one: is_there(one.id)) else []

    assert missing == []


async def test_it_commits_two_thousand_concurrent_records_with_exact_usage(data: str) -> None:
    dice = random.Random(2026)
    records = [
        record(
            number,
            attempts=[attempt(1), attempt(2)],
            usage=[tokens(dice.randrange(5000), str(number % 7)), tokens(1, "9")],
        )
        for number in range(2000)
    ]
    deltas = [delta for one in records for delta in one.usage]

    waiting = iter(records)

    async def ask(journal: Journal) -> None:
        for one in waiting:
            await journal.close(one)

    async with running() as journal:
        # So many at once that each is committed within the time a close waits, on a busy machine too.
        await asyncio.gather(*(ask(journal) for _ in range(200)))
        seen = await in_thread(lambda: (RequestLog.objects.count(), Attempt.objects.count()))
        sums = await in_thread(
            lambda: Usage.objects.aggregate(a=Sum("requests"), b=Sum("prompt_tokens"), c=Sum("completion_tokens"))
        )
        rows = await in_thread(Usage.objects.count)

    assert seen == (2000, 4000)
    assert sums == {
        "a": len(deltas),
        "b": sum(delta.prompt_tokens for delta in deltas),
        "c": sum(delta.completion_tokens for delta in deltas),
    }
    assert rows == 8


async def test_it_writes_many_records_in_one_commit(data: str) -> None:
    commits = CountingJournal()

    commits.start()
    await asyncio.gather(*(commits.close(record(number)) for number in range(1000)))
    await commits.stop()

    assert commits.count <= 20


async def test_it_commits_an_idle_record_at_once(sqlite_file: Path) -> None:
    async with running() as journal:
        await journal.close(record())
        begun = time.perf_counter()
        await journal.close(record())
        took = time.perf_counter() - begun

    assert took < 1


async def test_it_writes_every_column(data: str) -> None:
    key = await in_thread(make_key)
    one = record(
        1234,
        member_id=7,
        address="2001:db8::1",
        dialect="openai",
        model="gemini-2.5-flash",
        stream=True,
        outcome=Outcome.PARTIAL,
        status=200,
        code="answer_cut",
        message="切れた",
        attempt_count=1,
        prompt_tokens=1,
        completion_tokens=2,
        thought_tokens=3,
        cached_tokens=4,
        first_output_ms=5,
        attempts=[attempt(1, key_id=key.pk, status=503, quota_id="q", message="overloaded")],
    )

    async with running() as journal:
        await journal.close(one)

    [row] = await in_thread(lambda: list(RequestLog.objects.values()))
    assert row == {name: getattr(one, name) for name in row}
    [tried] = await in_thread(lambda: list(Attempt.objects.values()))
    expected = {"id": tried["id"], "request_id": one.id}
    assert tried == expected | {name: getattr(one.attempts[0], name) for name in tried if name not in expected}


async def test_it_returns_in_time_while_the_database_is_locked_and_writes_the_row_later(sqlite_file: Path) -> None:
    one = record(usage=[tokens(10)])
    async with running() as journal:
        with locked(sqlite_file):
            begun = time.perf_counter()
            await journal.close(one)
            took = time.perf_counter() - begun
            depth = journal.depth
            await asyncio.sleep(max(0.0, 3 - took))
        await until(lambda: journal.depth == 0)

    assert 1.9 < took < 2.8
    assert depth == 1
    assert (journal.late, journal.lost, journal.written, journal.away_seconds) == (1, 0, 1, 0.0)
    assert await in_thread(lambda: Usage.objects.get().prompt_tokens) == 10


async def test_it_is_full_at_its_bound_and_empties_when_the_database_is_back(sqlite_file: Path) -> None:
    async with running(bound=3) as journal:
        with locked(sqlite_file):
            for number in range(3):
                journal.post(record(number))
            was_full = journal.is_full
        await until(lambda: journal.depth == 0)
        is_full = journal.is_full

    assert (was_full, is_full) == (True, False)
    assert await in_thread(RequestLog.objects.count) == 3


async def test_it_writes_everything_queued_before_it_stops(data: str) -> None:
    journal = Journal(lambda changes, revision: None)
    journal.start()
    for number in range(1500):
        journal.post(record(number))

    await journal.stop()

    assert await in_thread(RequestLog.objects.count) == 1500
    assert journal.depth == 0


async def test_it_gives_up_stopping_while_the_database_stays_away(sqlite_file: Path) -> None:
    connections.settings["default"]["OPTIONS"]["timeout"] = 0.1
    journal = Journal(lambda changes, revision: None)
    journal.start()
    with locked(sqlite_file):
        journal.post(record())
        begun = time.perf_counter()
        await journal.stop(0.5)
        took = time.perf_counter() - begun

    assert took < 1.5
    assert journal.depth == 1


async def test_a_cancelled_close_still_leaves_its_row(sqlite_file: Path) -> None:
    async with running() as journal:
        with locked(sqlite_file):
            closing = asyncio.ensure_future(journal.close(record()))
            await asyncio.sleep(0.05)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)

    assert await in_thread(RequestLog.objects.count) == 1


async def test_it_does_not_count_twice_when_the_answer_to_a_commit_is_lost(data: str) -> None:
    deaf = DeafJournal(losses=3)

    deaf.start()
    await asyncio.gather(
        *(deaf.close(record(number, usage=[tokens(10)], attempts=[attempt(1)])) for number in range(50))
    )
    await deaf.stop()

    assert deaf.losses == 0
    assert await in_thread(RequestLog.objects.count) == 50
    assert await in_thread(Attempt.objects.count) == 50
    assert await in_thread(lambda: Usage.objects.get().requests) == 50


async def test_it_does_not_count_twice_when_a_lost_commit_comes_true_late(data: str) -> None:
    late = LateJournal()

    late.start()
    await late.close(record(usage=[tokens(10)], attempts=[attempt(1)]))
    await late.stop()

    assert late.tries == 3
    assert await in_thread(RequestLog.objects.count) == 1
    assert await in_thread(Attempt.objects.count) == 1
    assert await in_thread(lambda: Usage.objects.get().requests) == 1


@ON_POSTGRES
@pytest.mark.parametrize("backend", ["postgres"])
async def test_it_outlives_broken_connections_and_counts_each_request_once(data: str) -> None:
    records = [record(number, usage=[tokens(10)], attempts=[attempt(1)]) for number in range(1500)]

    def break_connections() -> None:
        with connections["default"].cursor() as cursor:
            for _ in range(10):
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
                )
                time.sleep(0.03)

    async def ask(journal: Journal) -> None:
        for start in range(0, len(records), 15):
            await asyncio.gather(*(journal.close(one) for one in records[start : start + 15]))

    async with running() as journal:
        await asyncio.gather(ask(journal), in_thread(break_connections))
        await until(lambda: journal.depth == 0, seconds=20)

    assert await in_thread(RequestLog.objects.count) == 1500
    assert await in_thread(Attempt.objects.count) == 1500
    assert await in_thread(lambda: Usage.objects.get().requests) == 1500


HUGE = 2**70


@pytest.mark.parametrize(
    "bad",
    [
        {"message": "a\0b"},
        {"message": "lone \ud800 surrogate", "model": "\udfff"},
        {"model": "m" * 5000, "address": "a" * 99, "message": "é" * 999, "code": "c" * 99, "dialect": "d" * 50},
        {"prompt_tokens": HUGE, "status": HUGE, "attempt_count": 70_000, "first_output_ms": -5},
        {"usage": [UsageDelta("member", "s" * 99, TODAY, "m" * 999, 1, HUGE, -HUGE)]},
    ],
)
async def test_it_makes_odd_values_fit(data: str, bad: dict[str, object]) -> None:
    one = record(**{"usage": [tokens(1)]} | bad)

    async with running() as journal:
        await journal.close(one)

    assert await in_thread(lambda: list(RequestLog.objects.values_list("pk", flat=True))) == [one.id]
    assert await in_thread(Usage.objects.count) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"id": HUGE},
        {"member_id": HUGE},
        {"started_at": "yesterday"},
        {"prompt_tokens": "many"},
        {"attempts": [None]},
    ],
)
async def test_a_row_that_cannot_be_written_costs_only_itself(data: str, bad: dict[str, object]) -> None:
    key = await in_thread(make_key)
    poison = record(usage=[tokens(100)], changes=[park(key.pk)])
    for name, value in bad.items():
        setattr(poison, name, value)
    poison.id = HUGE if "id" in bad else poison.id
    good = [record(number, usage=[tokens(1)]) for number in range(40)]

    async with running() as journal:
        await asyncio.gather(*(journal.close(one) for one in [*good[:20], poison, *good[20:]]))

    written = await in_thread(lambda: set(RequestLog.objects.values_list("pk", flat=True)))
    assert written >= {one.id for one in good}
    assert await in_thread(lambda: Usage.objects.get().prompt_tokens) == 140
    assert await in_thread(Park.objects.count) == 1
    assert journal.written + journal.lost == 41


async def test_it_tells_of_written_parks_with_the_revision_they_made(data: str) -> None:
    key = await in_thread(make_key)
    before = await in_thread(lambda: Revision.objects.get().number)
    heard: list[tuple[list[Change], int]] = []

    async with running(lambda changes, revision: heard.append((list(changes), revision))) as journal:
        await journal.close(record(changes=[park(key.pk)]))
        await journal.close(record())
        journal.post([Disabling(key.pk, "Google says: leaked")])
        await until(lambda: len(heard) == 2)

    assert heard == [([park(key.pk)], before + 1), ([Disabling(key.pk, "Google says: leaked")], before + 2)]
    assert await in_thread(lambda: Revision.objects.get().number) == before + 2
    assert await in_thread(lambda: Park.objects.get().until) == park(key.pk).until
    stored = await in_thread(Key.objects.get)
    assert (stored.disabled_by, stored.disabled_reason) == ("google", "Google says: leaked")


async def test_the_longer_of_two_parks_counts(data: str) -> None:
    key = await in_thread(make_key)

    async with running() as journal:
        for minutes in (10, 60, 5):
            await journal.close(record(changes=[park(key.pk, minutes)]))

    assert await in_thread(lambda: Park.objects.get().until) == NOW + timedelta(minutes=60)


async def test_it_keeps_the_day_quota_that_google_told_last(data: str) -> None:
    key = await in_thread(make_key)

    async with running() as journal:
        for model, per_day in (("gemini-2.5-pro", 50), ("gemini-2.5-flash", 250), ("gemini-2.5-pro", 100)):
            await journal.close(record(changes=[replace(park(key.pk, model=model), per_day=per_day)]))
        await journal.close(record(changes=[park(key.pk, 20), replace(park(4711), per_day=9)]))

    learned = await in_thread(lambda: dict(LearnedLimit.objects.values_list("model", "per_day")))
    assert learned == {"gemini-2.5-pro": 100, "gemini-2.5-flash": 250}


async def test_a_park_of_a_deleted_key_stops_nothing(data: str) -> None:
    async with running() as journal:
        await journal.close(record(changes=[park(4711)], usage=[tokens(1)]))

    assert await in_thread(Park.objects.count) == 0
    assert await in_thread(Usage.objects.count) == 1


async def test_it_leaves_a_key_that_an_admin_disabled_as_it_is(data: str) -> None:
    key = await in_thread(make_key)
    await in_thread(lambda: Key.objects.update(disabled_by="admin", disabled_reason="on holiday"))

    async with running() as journal:
        await journal.close(record(changes=[Disabling(key.pk, "Google says no")]))

    assert await in_thread(lambda: Key.objects.get().disabled_reason) == "on holiday"


async def test_it_adds_to_usage_that_is_there_already(data: str) -> None:
    async with running() as journal:
        await journal.close(record(usage=[tokens(5)]))
    async with running() as journal:
        await journal.close(record(usage=[tokens(6, requests=-1)]))

    usage = await in_thread(Usage.objects.get)
    assert (usage.requests, usage.prompt_tokens, usage.completion_tokens) == (0, 11, 22)


async def test_its_thread_leaves_no_connection_open(sqlite_file: Path) -> None:
    async with running() as journal:
        await journal.close(record())

    with sqlite3.connect(sqlite_file, isolation_level=None) as connection:
        # Fails with "database is locked" while any other connection is open.
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.close()


def attempt(number: int, **fields: object) -> AttemptRecord:
    given = {"key_id": None, "model": "m", "outcome": Outcome.ANSWERED, "started_at": NOW, "duration_ms": 9} | fields
    return AttemptRecord(number=number, **given)


class CountingJournal(Journal):
    """Counts the commits."""

    def __init__(self) -> None:
        super().__init__(lambda changes, revision: None)
        self.count = 0

    def _commit(self, work: journal_module._Work, is_repeated: bool) -> int | None:
        self.count += 1
        return super()._commit(work, is_repeated)


class DeafJournal(Journal):
    """Its connection breaks just after a commit, before the answer comes."""

    def __init__(self, losses: int) -> None:
        super().__init__(lambda changes, revision: None)
        self.losses = losses

    def _commit(self, work: journal_module._Work, is_repeated: bool) -> int | None:
        revision = super()._commit(work, is_repeated)
        if self.losses:
            self.losses -= 1
            raise OperationalError("the connection was lost")
        return revision


class LateJournal(Journal):
    """Its first commit's answer is lost; the commit itself lands after the second try has looked for it."""

    def __init__(self) -> None:
        super().__init__(lambda changes, revision: None)
        self.tries = 0

    def _commit(self, work: journal_module._Work, is_repeated: bool) -> int | None:
        self.tries += 1
        if self.tries == 1:
            raise OperationalError("the connection was lost")
        if self.tries == 2:
            super()._commit(work, False)
            # Looked for before that commit, inserted after it.
            is_repeated = False
        return super()._commit(work, is_repeated)
