"""What the dashboard reads from real databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from keys.models import Key, LearnedLimit, Member, Source, Usage
from proxy import request_id
from proxy.dashboard.first_steps import first_steps
from proxy.dashboard.reading import last_hour, today
from proxy.models import Attempt, RequestLog, UpstreamModel
from tests.databases import BACKENDS, database

NOW = datetime(2026, 8, 22, 6, 30, 20, tzinfo=UTC)
MINUTE = int(NOW.timestamp() // 60)
# It is still the day before in California, and the same day in Shanghai.
GOOGLES_DAY, OUR_DAY = date(2026, 8, 21), date(2026, 8, 22)
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture(params=BACKENDS, autouse=True)
def data(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        yield


def log(ago: timedelta, outcome: str = "answered", *tries: str, **fields: Any) -> None:
    moment = NOW - ago
    row = RequestLog.objects.create(
        id=request_id.new(moment.timestamp()),
        started_at=moment,
        outcome=outcome,
        stream=False,
        status=200,
        duration_ms=1,
        **fields,
    )
    for number, one in enumerate(tries, 1):
        Attempt.objects.create(
            request=row, number=number, model="gemini-2.5-pro", outcome=one, started_at=moment, duration_ms=1
        )


def key(digest: str, **fields: Any) -> Key:
    return Key.objects.create(ciphertext="x", digest=digest, tail="abcd", **fields)


def member(name: str, **fields: Any) -> Member:
    return Member.objects.create(name=name, digest=name, **fields)


def use(kind: str, subject: int, day: date, requests: int, model: str = "gemini-2.5-pro", tokens: int = 0) -> None:
    Usage.objects.create(kind=kind, subject=str(subject), day=day, model=model, requests=requests, prompt_tokens=tokens)


def test_the_last_hour_is_counted_minute_by_minute_without_the_running_one() -> None:
    log(timedelta(seconds=10), "answered", "answered")
    log(timedelta(minutes=1), "answered", "empty", "rate_limited", "answered", prompt_tokens=7, first_output_ms=300)
    log(timedelta(minutes=1), "refused")
    log(timedelta(minutes=60), "unavailable", "unavailable")
    log(timedelta(minutes=61), "answered", "answered")

    minutes = {minute.number: minute for minute in last_hour(NOW)}

    assert minutes.keys() == {MINUTE - 1, MINUTE - 60}
    last = minutes[MINUTE - 1]
    assert last.requests == {"answered": 1, "refused": 1}
    assert last.attempts == {"answered": 1, "empty": 1, "rate_limited": 1}
    assert last.served == {"gemini-2.5-pro": 2}
    assert (last.tokens, last.first_output_ms, last.first_outputs) == (7, 300, 1)
    assert minutes[MINUTE - 60].served == {}


def test_keys_count_by_googles_day_and_members_by_ours() -> None:
    one, ann, ben = key("a"), member("Ann"), member("Ben")
    use("key", one.pk, GOOGLES_DAY, 5)
    use("key", one.pk, GOOGLES_DAY, 2, "gemini-2.5-flash")
    use("key", one.pk, OUR_DAY, 99)
    use("member", ann.pk, OUR_DAY, 3, tokens=30)
    use("member", ben.pk, OUR_DAY, 4, tokens=4)
    use("member", ben.pk, OUR_DAY, 1, "gemini-2.5-flash", tokens=1)
    use("member", ann.pk, GOOGLES_DAY, 99)
    LearnedLimit.objects.create(key=one, model="gemini-2.5-pro", per_day=50, learned_at=NOW)

    reading = today(NOW, ZONE)

    assert reading.used == {one.pk: {"gemini-2.5-pro": 5, "gemini-2.5-flash": 2}}
    assert reading.learned == {(one.pk, "gemini-2.5-pro"): 50}
    assert reading.members == (
        {"name": "Ben", "requests": 5, "tokens": 5},
        {"name": "Ann", "requests": 3, "tokens": 30},
    )


def test_a_deleted_member_s_use_stops_nothing() -> None:
    use("member", 4711, OUR_DAY, 3)

    assert today(NOW, ZONE).members == ()


def test_the_first_steps_follow_one_another_and_end_with_the_first_message() -> None:
    nothing = first_steps()
    assert nothing is not None
    assert (nothing.has_key, nothing.key_works, nothing.has_member) == (False, False, False)

    key("a", disabled_by="google", disabled_reason="API key not valid.")
    dead = first_steps()
    assert dead is not None
    assert (dead.has_key, dead.key_works, dead.trouble) == (True, False, "API key not valid.")

    key("b")
    UpstreamModel.objects.create(name="gemini-2.5-pro", seen_at=NOW)
    works = first_steps()
    assert works is not None
    assert (works.key_works, works.trouble) == (True, "")

    ann = member("Ann", source=Source.ADMIN)
    has_member = first_steps()
    assert has_member is not None
    assert has_member.has_member

    use("member", ann.pk, OUR_DAY, 1)
    assert first_steps() is None
