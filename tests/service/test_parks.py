"""A key that ran into a quota rests: for that model, for as long as the quota says, over restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.gemini import error
from tests.service.houses import House, house, keys

FIRST, SECOND = keys(2)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("parks"), GEMINI_API_KEYS=keys(2), FAKE_STREAMING=False) as started:
        yield started


@pytest.fixture
def stage(started: House) -> House:
    return started.clear()


def midnight_pacific() -> datetime:
    """Return the end of Google's day, worked out by hand."""
    now = datetime.now(ZoneInfo("America/Los_Angeles"))
    tomorrow = (now + timedelta(days=1)).date()
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=now.tzinfo).astimezone(UTC)


def parks(stage: House, model: str) -> list[dict[str, Any]]:
    rows = stage.server.rows(
        "SELECT k.tail, p.reason, p.until, p.quota_id FROM keys_park p JOIN keys_key k ON k.id = p.key_id"
        " WHERE p.model = ?",
        model,
    )
    return [row | {"until": datetime.fromisoformat(row["until"]).replace(tzinfo=UTC)} for row in rows]


def run_into(stage: House, refusal: Any, model: str) -> None:
    """Chat until the first key has met ``refusal``; each of these chats is answered all the same."""
    stage.gemini.replies(refusal, key=FIRST, model=model)
    for _ in range(6):
        assert stage.server.chat(model=model).status_code == 200
        if not stage.gemini.unread:
            return
    raise AssertionError("the first key was never asked")


def keys_asked(stage: House, model: str, chats: int = 6) -> set[str]:
    """Chat a few times and return the keys that were asked."""
    stage.gemini.calls.clear()
    assert {stage.server.chat(model=model).status_code for _ in range(chats)} == {200}
    return set(stage.gemini.keys_used)


def test_a_daily_quota_rests_key_and_model_to_midnight_pacific_over_restarts(stage: House) -> None:
    run_into(stage, error("per_day", retry=18.4), "gemini-2.5-flash")

    [park] = parks(stage, "gemini-2.5-flash")
    assert (park["tail"], park["reason"]) == (FIRST[-4:], "per_day")
    assert "PerDay" in park["quota_id"]
    assert abs(park["until"] - midnight_pacific()) < timedelta(seconds=2)
    assert keys_asked(stage, "gemini-2.5-flash") == {SECOND}
    assert keys_asked(stage, "gemini-2.5-pro") == {FIRST, SECOND}

    stage.server.restart()
    assert keys_asked(stage, "gemini-2.5-flash") == {SECOND}
    assert keys_asked(stage, "gemini-2.5-pro") == {FIRST, SECOND}

    stage.server.kill()
    stage.server.start()
    assert keys_asked(stage, "gemini-2.5-flash") == {SECOND}


def test_a_minute_quota_rests_key_and_model_for_its_delay(stage: House) -> None:
    run_into(stage, error("per_minute", retry=3.0), "gemini-2.0-flash")
    parked_at = datetime.now(UTC)

    [park] = parks(stage, "gemini-2.0-flash")
    assert (park["tail"], park["reason"]) == (FIRST[-4:], "per_minute")
    assert timedelta(seconds=0.5) < park["until"] - parked_at < timedelta(seconds=5)
    assert keys_asked(stage, "gemini-2.0-flash", chats=3) == {SECOND}
    assert keys_asked(stage, "gemini-2.0-flash-lite") == {FIRST, SECOND}

    time.sleep(max((park["until"] - datetime.now(UTC)).total_seconds(), 0) + 0.2)
    assert keys_asked(stage, "gemini-2.0-flash") == {FIRST, SECOND}


def test_a_429_without_details_rests_key_and_model_five_seconds(stage: House) -> None:
    run_into(stage, error("exhausted"), "gemini-3-flash-preview")

    [park] = parks(stage, "gemini-3-flash-preview")
    assert park["reason"] == "resting"
    assert timedelta(seconds=1) < park["until"] - datetime.now(UTC) <= timedelta(seconds=5.5)
    assert keys_asked(stage, "gemini-3-flash-preview", chats=3) == {SECOND}


def test_a_limit_of_zero_means_the_model_is_not_offered_to_that_key(stage: House) -> None:
    run_into(stage, error("limit_zero"), "gemini-2.5-flash-lite")

    [park] = parks(stage, "gemini-2.5-flash-lite")
    assert (park["tail"], park["reason"]) == (FIRST[-4:], "not_offered")
    assert keys_asked(stage, "gemini-2.5-flash-lite", chats=3) == {SECOND}


def test_a_failing_upstream_rests_nobody(stage: House) -> None:
    run_into(stage, error("overloaded"), "gemini-3.5-flash")

    assert parks(stage, "gemini-3.5-flash") == []
    assert keys_asked(stage, "gemini-3.5-flash") == {FIRST, SECOND}


def test_with_every_key_resting_the_refusal_comes_at_once_and_names_the_earliest_return(stage: House) -> None:
    model = "gemini-3.6-flash"
    stage.gemini.replies(error("per_day"), key=FIRST, model=model)
    stage.gemini.replies(error("per_minute", retry=50.0), key=SECOND, model=model)
    assert stage.server.chat(model=model).status_code == 429
    stage.gemini.clear()
    began = time.monotonic()

    refused = stage.server.chat(model=model)

    assert time.monotonic() - began < 2
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "keys_resting"
    assert 44 <= int(refused.headers["retry-after"]) <= 51
    assert f"{refused.headers['retry-after']} s" in refused.json()["error"]["message"]
    assert stage.gemini.generated == []


def test_with_every_key_out_for_the_day_the_refusal_names_midnight_pacific(stage: House) -> None:
    stage.gemini.always(error("per_day"), model="gemini-3.8-flash")

    refused = stage.server.chat(model="gemini-3.8-flash")

    assert refused.status_code == 429
    left = (midnight_pacific() - datetime.now(UTC)).total_seconds()
    assert abs(int(refused.headers["retry-after"]) - left) < 3
