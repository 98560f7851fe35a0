"""What comes before and after the journal: limits recounted at start, old rows forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.ledger.memory import MemoryLedger
from keys.ledger.windows import (
    PACIFIC,
    address_day,
    key_day,
    member_day,
    member_minute,
    member_tokens,
    model_day,
    model_minute,
    model_tokens,
)
from keys.models import Group, Key, Member, ModelLimit, Park, Usage
from proxy import membership, request_id, retention
from proxy.models import Attempt, RequestLog, Settings
from proxy.recount import newly_limited, recount, used_today
from tests.databases import BACKENDS, database, in_thread

NOW = datetime(2026, 8, 22, 15, 30, tzinfo=UTC)
ZONE = timezone.get_default_timezone()
TODAY = NOW.astimezone(ZONE).date()
PACIFIC_TODAY = NOW.astimezone(PACIFIC).date()
A_DAY = timedelta(days=1)
SECONDS = NOW.timestamp()


@pytest.fixture(params=BACKENDS, autouse=True)
def data(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        yield


def used(kind: str, subject: str, day: date, requests: int, model: str = "m") -> None:
    Usage.objects.create(
        kind=kind, subject=subject, day=day, model=model, requests=requests, prompt_tokens=10, completion_tokens=5
    )


def log(seconds_ago: float, member_id: int | None = 1, now: datetime = NOW, **fields: Any) -> RequestLog:
    began = now - timedelta(seconds=seconds_ago)
    given = {"member_id": member_id, "started_at": began, "stream": False, "outcome": "answered", "status": 200}
    return RequestLog.objects.create(id=request_id.new(began.timestamp()), duration_ms=1, **given | fields)


async def standings(*windows: Any) -> list[int]:
    ledger = MemoryLedger()
    await in_thread(lambda: recount(ledger, NOW))
    return [(await ledger.standing(window, SECONDS)).used for window in windows]


async def test_today_is_counted_again_for_members_addresses_and_keys() -> None:
    def fill() -> None:
        used("member", "1", TODAY, 3)
        used("member", "1", TODAY, 4, "other")
        used("member", "1", TODAY - A_DAY, 50)
        used("member", "2", TODAY, 1)
        used("address", "10.0.0.1", TODAY, 9)
        used("key", "7", PACIFIC_TODAY, 11)
        used("key", "7", PACIFIC_TODAY - A_DAY, 60)

    await in_thread(fill)

    assert await standings(
        member_day(1, 0, SECONDS, ZONE),
        member_tokens(1, 0, SECONDS, ZONE),
        member_day(2, 0, SECONDS, ZONE),
        address_day("10.0.0.1", 0, SECONDS, ZONE),
        key_day(7, 0, SECONDS),
    ) == [7, 30, 1, 9, 11]


async def test_the_running_minute_is_counted_again_from_the_log() -> None:
    def fill() -> None:
        for seconds_ago in (200, 90, 45, 10, 1):
            log(seconds_ago)
        log(5, outcome="refused")
        log(5, outcome="empty")
        log(5, member_id=2)
        log(70, member_id=3)
        log(5, member_id=None)

    await in_thread(fill)

    # Member 1's minutes began 200, 90 and 10 s ago; the last one holds those of 10, 5 (empty) and 1 s ago.
    assert await standings(*(member_minute(number, 0) for number in (1, 2, 3))) == [3, 1, 0]


async def test_limits_for_models_are_counted_again_by_the_models_they_cover() -> None:
    pattern = "gemini-2.5-*"

    def fill() -> int:
        group = Group.objects.create(name="friends", requests_per_day=9)
        member = Member.objects.create(name="Anna", digest="-", group=group)
        ModelLimit.objects.create(group=group, pattern="Gemini-2.5-*", requests_per_day=50, tokens_per_day=5000)
        for model in ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro"):
            used("member", str(member.pk), TODAY, 3, model)
        for seconds_ago, model in ((9, "models/Gemini-2.5-Pro-search"), (8, "gemini-3-pro"), (7, "gemini-2.5-flash")):
            log(seconds_ago, member_id=member.pk, model=model)
        return member.pk

    number = await in_thread(fill)
    day, tokens = (make(number, pattern, 0, SECONDS, ZONE) for make in (model_day, model_tokens))

    assert await standings(day, tokens, model_minute(number, pattern, 0)) == [6, 30, 2]
    members = await in_thread(membership.by_digest)
    known = await in_thread(lambda: used_today(list(members.values()), NOW))
    assert {window.name: (window.limit, count) for window, count in known} == {
        member_day(number, 9, SECONDS, ZONE).name: (9, 9),
        day.name: (50, 6),
        tokens.name: (5000, 30),
    }


def test_only_members_with_a_new_limit_for_the_day_are_counted_again() -> None:
    anna, ben = (Member.objects.create(name=name, digest=name, requests_per_day=5) for name in ("Anna", "Ben"))
    before = membership.by_digest()
    Member.objects.filter(pk=anna.pk).update(requests_per_day=7)
    assert newly_limited(before, membership.by_digest()) == []

    ModelLimit.objects.create(member=ben, pattern="gemini-*", requests_per_minute=3)
    assert newly_limited(before, membership.by_digest()) == []

    Member.objects.filter(pk=anna.pk).update(tokens_per_day=7)
    ModelLimit.objects.filter(member=ben).update(tokens_per_day=3)
    assert [member.name for member in newly_limited(before, membership.by_digest())] == ["Anna", "Ben"]


def test_logs_older_than_the_days_go_with_their_attempts() -> None:
    old, young = log(40 * 86400), log(20 * 86400)
    for one in (old, young):
        Attempt.objects.create(request=one, number=1, model="m", outcome="empty", started_at=NOW, duration_ms=1)

    pruned = retention.prune(NOW, 30)

    assert pruned.logs == 1
    assert [one.pk for one in RequestLog.objects.all()] == [young.pk]
    assert [one.request_id for one in Attempt.objects.all()] == [young.pk]


def test_many_old_logs_go_step_by_step() -> None:
    began = NOW - timedelta(days=31)
    RequestLog.objects.bulk_create(
        RequestLog(
            id=request_id.new(began.timestamp()),
            started_at=began,
            stream=False,
            outcome="empty",
            status=1,
            duration_ms=1,
        )
        for _ in range(2 * retention.STEP + 7)
    )

    assert retention.prune(NOW, 30).logs == 2 * retention.STEP + 7


def test_addresses_are_forgotten_and_members_usage_is_kept() -> None:
    for kind in ("member", "address", "key"):
        used(kind, "1", date(2026, 7, 1), 1)
        used(kind, "1", date(2026, 8, 1), 1)

    assert retention.prune(NOW, 30).usage == 1
    assert Usage.objects.filter(kind="address").count() == 1
    assert Usage.objects.exclude(kind="address").count() == 4


def test_the_counts_of_many_addresses_are_forgotten_in_small_steps() -> None:
    Usage.objects.bulk_create(
        Usage(kind="address", subject=f"10.0.{number // 250}.{number % 250}", day=date(2026, 7, 1), model="m")
        for number in range(2 * retention.STEP + 7)
    )

    with CaptureQueriesContext(connection) as queries:
        pruned = retention.prune(NOW, 30)

    assert pruned.usage == 2 * retention.STEP + 7
    assert sum('DELETE FROM "keys_usage"' in query["sql"] for query in queries) == 3


def test_ended_parks_go() -> None:
    key = Key.objects.create(ciphertext="-", digest="a", tail="x7Qk")
    for model, hours in (("a", -1), ("b", 1)):
        until = NOW + timedelta(hours=hours)
        Park.objects.create(key=key, model=model, reason="per_day", until=until, created_at=NOW)

    assert retention.prune(NOW, 30).parks == 1
    assert Park.objects.get().model == "b"


def test_the_command_prunes_by_the_saved_setting(capsys: pytest.CaptureFixture[str]) -> None:
    Settings.objects.update(log_retention_days=3)
    now = timezone.now()
    log(4 * 86400, now=now)
    log(2 * 86400, now=now)

    call_command("prune_logs")
    call_command("prune_logs")

    assert RequestLog.objects.count() == 1
    assert "Deleted 1 request logs" in capsys.readouterr().out


def test_the_command_refuses_to_delete_today() -> None:
    with pytest.raises(CommandError):
        call_command("prune_logs", days=0)


async def test_the_keeper_prunes_at_once_and_asks_for_the_days_each_time() -> None:
    await in_thread(lambda: log(2 * 86400, now=timezone.now()))
    days = iter([30, 1])
    keeper = asyncio.create_task(retention.keep_pruned(lambda: next(days, 1), seconds=0.05))

    async def is_empty() -> bool:
        return not await in_thread(RequestLog.objects.exists)

    async with asyncio.timeout(5):
        while not await is_empty():
            await asyncio.sleep(0.02)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
