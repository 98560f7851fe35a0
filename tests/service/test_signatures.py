"""Thought signatures outlive a restart, are shared between processes, and are read by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings

from proxy import request_id, retention
from proxy.journal import Journal, Record, SignatureRow
from proxy.models import RequestLog, ThoughtSignature
from proxy.signatures import LIFETIME, UNKNOWN_SECONDS, Signatures
from tests.databases import BACKENDS, database, in_thread

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)
SECONDS = NOW.timestamp()
A_DAY = 86_400.0


@pytest.fixture(params=BACKENDS, autouse=True)
def data(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    with django_db_blocker.unblock(), database(str(request.param), tmp_path):
        yield str(request.param)


@pytest.fixture
def restarted() -> Iterator[Signatures]:
    """Another process, or this one after a restart: its memory is empty."""
    signatures = Signatures()
    yield signatures
    signatures.close()
    # Its connection is closed before its database goes.
    signatures._thread.shutdown(wait=True)


@asynccontextmanager
async def running() -> AsyncIterator[Journal]:
    journal = Journal(lambda changes, revision: None)
    journal.start()
    try:
        yield journal
    finally:
        await journal.stop()


def record(rows: Sequence[SignatureRow | None]) -> Record:
    given = [row for row in rows if row is not None]
    return Record(id=request_id.new(SECONDS), started_at=NOW, signatures=given)


async def write(*rows: SignatureRow | None) -> None:
    async with running() as journal:
        await journal.close(record(rows))


async def test_a_signature_is_found_in_memory_at_once() -> None:
    signatures = Signatures()

    signatures.remember("call_1", "c2ln", SECONDS)

    assert await signatures.find(["call_1"], SECONDS) == {"call_1": "c2ln"}
    assert "call_1" in signatures
    assert "call_2" not in signatures


async def test_a_signature_outlives_a_restart(restarted: Signatures) -> None:
    before = Signatures()
    await write(*(before.remember(f"call_{number}", f"sig{number}", SECONDS) for number in range(3)))

    found = await restarted.find(["call_2", "call_0", "call_9"], SECONDS)

    assert found == {"call_0": "sig0", "call_2": "sig2"}


async def test_it_is_committed_together_with_the_log_row(restarted: Signatures) -> None:
    async with running() as journal:
        one = record([Signatures().remember("call_1", "c2ln", SECONDS)])
        await journal.close(one)
        there = await in_thread(lambda: (RequestLog.objects.count(), ThoughtSignature.objects.count()))

    assert there == (1, 1)


async def test_the_database_is_asked_once(restarted: Signatures) -> None:
    await write(Signatures().remember("call_1", "c2ln", SECONDS))
    await restarted.find(["call_1"], SECONDS)

    await in_thread(ThoughtSignature.objects.all().delete)

    assert await restarted.find(["call_1"], SECONDS) == {"call_1": "c2ln"}


async def test_a_call_without_signature_is_never_asked_for(restarted: Signatures) -> None:
    await write(Signatures().remember("call_1", "of another process", SECONDS))

    row = restarted.remember("call_1", None, SECONDS)

    assert row is None
    assert await restarted.find(["call_1"], SECONDS) == {}


async def test_what_is_unknown_is_asked_again_after_a_while(restarted: Signatures) -> None:
    assert await restarted.find(["call_1"], SECONDS) == {}
    await write(Signatures().remember("call_1", "c2ln", SECONDS))

    assert await restarted.find(["call_1"], SECONDS + UNKNOWN_SECONDS - 1) == {}
    assert await restarted.find(["call_1"], SECONDS + UNKNOWN_SECONDS) == {"call_1": "c2ln"}


async def test_the_later_signature_of_a_call_holds(restarted: Signatures) -> None:
    one = Signatures()
    await write(one.remember("call_1", "first", SECONDS), one.remember("call_1", "second", SECONDS))
    await write(one.remember("call_1", "third", SECONDS + 1))

    assert await restarted.find(["call_1"], SECONDS + 1) == {"call_1": "third"}


async def test_signatures_expire_in_memory_and_in_the_database(restarted: Signatures) -> None:
    before = Signatures()
    await write(before.remember("call_1", "c2ln", SECONDS))
    end = SECONDS + LIFETIME.total_seconds()

    assert await before.find(["call_1"], end - 1) == {"call_1": "c2ln"}
    assert await restarted.find(["call_1"], end) == {}
    assert await restarted.find(["call_1"], end - 1) == {}


async def test_expired_signatures_are_pruned_step_by_step() -> None:
    many = [f"old_{number}" for number in range(retention.STEP + 7)]
    rows = [(call_id, NOW - LIFETIME * 1.1) for call_id in many] + [("young", NOW - LIFETIME * 0.9)]
    made = [ThoughtSignature(call_id=call_id, ciphertext="-", created_at=created) for call_id, created in rows]
    await in_thread(lambda: ThoughtSignature.objects.bulk_create(made))

    pruned = await in_thread(lambda: retention.prune(NOW, 365))

    assert pruned.signatures == len(many)
    assert await in_thread(lambda: [row.pk for row in ThoughtSignature.objects.all()]) == ["young"]


async def test_they_are_stored_encrypted(restarted: Signatures, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(Signatures().remember("call_1", "c2ln", SECONDS))

    stored = await in_thread(lambda: ThoughtSignature.objects.get().ciphertext)
    monkeypatch.setattr(settings, "SECRET_KEY", "another one, and no fallback")

    assert "c2ln" not in stored
    assert await restarted.find(["call_1"], SECONDS) == {}


@pytest.mark.parametrize("odd", ["", "x" * 65, "a\0b", "line\nbreak", "\ud800"])
async def test_an_id_that_no_call_of_ours_has_is_passed_over(odd: str, restarted: Signatures) -> None:
    assert restarted.remember(odd, "c2ln", SECONDS) is None
    assert await restarted.find([odd], SECONDS) == {}


async def test_an_answer_is_given_while_the_database_is_away(restarted: Signatures) -> None:
    from django.db import connection

    def drop() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE proxy_thoughtsignature")

    restarted.remember("call_1", "c2ln", SECONDS)
    await in_thread(drop)

    assert await restarted.find(["call_1", "call_2"], SECONDS) == {"call_1": "c2ln"}


async def test_memory_is_bounded_by_count_and_by_bytes() -> None:
    few, small = Signatures(most=10), Signatures(most_bytes=10_000)

    for number in range(100):
        few.remember(f"call_{number}", "s", SECONDS)
        small.remember(f"call_{number}", "s" * 700, SECONDS)

    assert [f"call_{number}" in few for number in (0, 89, 90, 99)] == [False, False, True, True]
    assert 5 <= sum(f"call_{number}" in small for number in range(100)) <= 10


async def test_what_was_used_last_stays() -> None:
    few = Signatures(most=2)
    few.remember("call_1", "a", SECONDS)
    few.remember("call_2", "b", SECONDS)

    await few.find(["call_1"], SECONDS)
    few.remember("call_3", "c", SECONDS)

    assert ("call_1" in few, "call_2" in few) == (True, False)


async def test_a_signature_that_cannot_be_written_costs_only_itself() -> None:
    poison = SignatureRow("call_2", None, NOW)  # type: ignore[arg-type]

    await write(SignatureRow("call_1", "c2ln", NOW), poison)

    there = await in_thread(lambda: [row.pk for row in ThoughtSignature.objects.all()])
    assert (await in_thread(RequestLog.objects.count), there) == (1, ["call_1"])
