"""The frozen snapshot of the database, and how a running process hears that it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from keys import vault
from keys.models import Group, Key, Member, Park
from keys.rules import ParkReason
from proxy import runtime
from proxy.behaviour import Behaviour
from proxy.models import BlockedModel, Revision, Settings, UpstreamModel
from proxy.runtime import Runtime, RuntimeHolder
from tests.databases import BACKENDS, database, in_thread, until

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)


@pytest.fixture(params=BACKENDS, autouse=True)
def data(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        yield


def make_key(number: int = 1, **fields: object) -> Key:
    given = {"ciphertext": vault.encrypt(f"AIza-{number}"), "digest": str(number), "tail": f"{number:04}"}
    return Key.objects.create(**given | fields)


@asynccontextmanager
async def watched(
    poll_seconds: float = 60, holder: RuntimeHolder | None = None
) -> AsyncIterator[tuple[RuntimeHolder, list[Runtime]]]:
    if holder is None:
        holder = RuntimeHolder(poll_seconds=poll_seconds)
        await holder.start()
    seen: list[Runtime] = []
    watching = asyncio.create_task(holder.watch(seen.append))
    try:
        yield holder, seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        # A last read must not reach into the next test's database.
        await asyncio.to_thread(holder._thread.shutdown)


def test_an_empty_database_gives_the_environments_settings() -> None:
    loaded = runtime.load()

    assert loaded.behaviour == settings.BEHAVIOUR
    assert (loaded.keys, loaded.parks, loaded.members, loaded.models) == ((), (), {}, {})
    assert loaded.allowed is None
    assert not loaded.blocked.matches("gemini-2.5-pro")


def test_a_saved_setting_wins_and_an_empty_one_inherits() -> None:
    Settings.objects.update(max_attempts=3, fake_streaming=False, max_empty_responses=0, allowed_models="a, b；c\nd*")

    behaviour = runtime.load().behaviour

    assert (behaviour.max_attempts, behaviour.fake_streaming, behaviour.max_empty_responses) == (3, False, 0)
    assert behaviour.allowed_models == ("a", "b", "c", "d*")
    assert behaviour.search_prompt == settings.BEHAVIOUR.search_prompt
    assert behaviour.max_requests_per_minute == settings.BEHAVIOUR.max_requests_per_minute


def test_blocked_rows_join_the_blocked_setting() -> None:
    Settings.objects.update(blocked_models="gemini-2.5-pro", allowed_models="gemini-*")
    BlockedModel.objects.create(pattern="*-flash")

    loaded = runtime.load()

    assert loaded.blocked.matches("gemini-2.5-pro")
    assert loaded.blocked.matches("models/Gemini-2.5-Flash")
    assert loaded.allowed is not None
    assert loaded.allowed.matches("gemini-x")
    assert not loaded.allowed.matches("gemma-3")


def test_the_settings_row_has_a_field_for_every_behaviour() -> None:
    columns = {column.name for column in Settings._meta.fields if not column.primary_key}

    assert columns == {one.name for one in fields(Behaviour)}


def test_keys_come_decrypted_and_unreadable_ones_disabled() -> None:
    good = make_key(1, daily_limit=7)
    out = make_key(2, disabled_by="admin")
    lost = make_key(3, ciphertext="gAAAA-of-another-installation")

    by_id = {key.id: key for key in runtime.load().keys}

    assert (by_id[good.pk].secret, by_id[good.pk].disabled, by_id[good.pk].daily_limit) == ("AIza-1", False, 7)
    assert by_id[out.pk].disabled
    assert (by_id[lost.pk].secret, by_id[lost.pk].disabled) == ("", True)


def test_no_secret_shows_in_a_printed_runtime() -> None:
    make_key(1)

    assert "AIza" not in repr(runtime.load())


def test_parks_come_with_their_end() -> None:
    key = make_key(1)
    until = NOW + timedelta(hours=1)
    Park.objects.create(key=key, model="m", reason=Park.Reason.PER_DAY, quota_id="q", until=until, created_at=NOW)

    [park] = runtime.load().parks

    assert park.reason is ParkReason.PER_DAY
    assert (park.key_id, park.model, park.until, park.quota_id) == (key.pk, "m", until, "q")


def test_a_members_empty_limits_are_its_groups() -> None:
    group = Group.objects.create(name="friends", requests_per_minute=5, requests_per_day=50)
    Member.objects.create(name="Alice", digest="a", group=group, requests_per_minute=9)
    Member.objects.create(name="Bob", digest="b", tokens_per_day=0)
    Member.objects.create(name="Charlie", digest="c", enabled=False)

    members = runtime.load().members

    alice, bob = members["a"], members["b"]
    assert (alice.requests_per_minute, alice.requests_per_day, alice.tokens_per_day) == (9, 50, None)
    assert (bob.requests_per_minute, bob.requests_per_day, bob.tokens_per_day) == (None, None, 0)
    assert "c" not in members


def test_models_come_as_google_described_them() -> None:
    UpstreamModel.objects.create(
        name="gemini-x", methods=["generateContent"], input_token_limit=9, description={"a": 1}, seen_at=NOW
    )

    facts = runtime.load().models["gemini-x"]

    assert (facts.methods, facts.input_limit, facts.output_limit) == (("generateContent",), 9, None)
    assert facts.description == {"a": 1}


def test_two_thousand_keys_load_with_as_many_queries_as_one() -> None:
    secret = vault.encrypt("AIza")
    Key.objects.bulk_create(Key(ciphertext=secret, digest=str(number), tail="x7Qk") for number in range(2000))
    runtime.load()

    with CaptureQueriesContext(connection) as queries:
        runtime.load()

    assert len(queries) == 9


def test_bump_moves_the_revision_and_returns_it() -> None:
    before = runtime.load().revision

    assert runtime.bump() == before + 1
    assert runtime.load().revision == before + 1


def test_bump_works_without_its_row() -> None:
    Revision.objects.all().delete()

    assert runtime.bump() == 1
    assert runtime.bump() == 2


def test_many_rows_of_one_transaction_move_the_revision_once() -> None:
    key = make_key(1)
    for model in ("a", "b", "c"):
        Park.objects.create(key=key, model=model, reason="per_day", until=NOW, created_at=NOW)
    before = runtime.load().revision

    key.delete()

    assert runtime.load().revision == before + 1


def test_what_is_rolled_back_moves_nothing() -> None:
    before = runtime.load().revision

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        BlockedModel.objects.create(pattern="x")
        raise ZeroDivisionError

    assert runtime.load().revision == before


async def test_a_saved_row_reaches_the_holder_of_this_process_at_once() -> None:
    async with watched(poll_seconds=60) as (holder, seen):
        await in_thread(lambda: BlockedModel.objects.create(pattern="gemini-2.5-pro"))
        await until(lambda: bool(seen), seconds=2)

    assert holder.current is seen[-1]
    assert holder.current.blocked.matches("gemini-2.5-pro")


@pytest.mark.parametrize("change", ["key", "park", "member", "group", "upstream", "settings", "delete"])
async def test_every_kind_of_row_wakes_it(change: str) -> None:
    key = await in_thread(lambda: make_key(1))
    changes = {
        "key": lambda: make_key(2),
        "park": lambda: Park.objects.create(key=key, reason="per_day", until=NOW, created_at=NOW),
        "member": lambda: Member.objects.create(name="Alice", digest="a"),
        "group": lambda: Group.objects.create(name="friends"),
        "upstream": lambda: UpstreamModel.objects.create(name="gemini-x", seen_at=NOW),
        "settings": lambda: Settings.objects.get(pk=1).save(),
        "delete": lambda: key.delete(),
    }

    async with watched(poll_seconds=60) as (_, seen):
        await in_thread(changes[change])
        await until(lambda: bool(seen), seconds=2)


async def test_a_change_of_another_process_arrives_by_polling() -> None:
    async with watched(poll_seconds=0.05) as (holder, seen):
        before = holder.current.revision
        # An UPDATE sends no signal here, as if it had happened elsewhere.
        await in_thread(lambda: Revision.objects.update(number=before + 5))
        await until(lambda: bool(seen), seconds=2)

    assert [one.revision for one in seen] == [before + 5]


async def test_an_unmoved_revision_swaps_nothing() -> None:
    async with watched(poll_seconds=0.02) as (holder, seen):
        first = holder.current
        runtime.wake()
        await asyncio.sleep(0.2)

    assert seen == []
    assert holder.current is first


async def test_the_last_runtime_stays_while_the_database_is_away() -> None:
    async with watched(poll_seconds=0.05) as (holder, seen):
        first = holder.current
        await in_thread(lambda: _sql("ALTER TABLE proxy_revision RENAME TO away"))
        await asyncio.sleep(0.3)
        held = holder.current
        await in_thread(lambda: _sql("ALTER TABLE away RENAME TO proxy_revision"))
        await in_thread(lambda: Revision.objects.update(number=99))
        await until(lambda: bool(seen), seconds=3)

    assert held is first
    assert holder.current.revision == 99


async def test_a_row_that_cannot_be_read_ends_no_watch() -> None:
    async with watched(poll_seconds=0.05) as (holder, seen):
        key = await in_thread(lambda: make_key(1))
        await until(lambda: bool(seen), seconds=2)
        await in_thread(lambda: Park.objects.create(key=key, reason="unheard_of", until=NOW, created_at=NOW))
        await asyncio.sleep(0.3)
        await in_thread(lambda: Park.objects.all().delete())
        await in_thread(lambda: make_key(2))
        await until(lambda: len(holder.current.keys) == 2, seconds=3)


async def test_a_watch_that_a_listener_broke_can_begin_again() -> None:
    def stumble(_: Runtime) -> None:
        raise ZeroDivisionError

    holder = RuntimeHolder(poll_seconds=60)
    await holder.start()
    broken = asyncio.create_task(holder.watch(stumble))
    await in_thread(lambda: make_key(1))
    with pytest.raises(ZeroDivisionError):
        await broken

    async with watched(holder=holder) as (_, seen):
        await in_thread(lambda: make_key(2))
        await until(lambda: bool(seen), seconds=2)


def test_reading_before_the_start_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        _ = RuntimeHolder().current


def _sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
