"""What is left of a model today, and how long it lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.headroom import Headroom, headrooms, worth_showing
from keys.rules import ParkReason
from keys.standing import KeyStanding, ParkEnd

NOW = 1_800_000_000.0
RESETS = NOW + 6 * 3600
PRO, FLASH = "gemini-2.5-pro", "gemini-2.5-flash"


def key(number: int, daily_limit: int = 0, parks: dict[str, ParkEnd] | None = None, **fields: Any) -> KeyStanding:
    return KeyStanding(number, f"key{number}", daily_limit, parks=parks, **fields)


def parked(reason: ParkReason, seconds: float, model: str = PRO) -> dict[str, ParkEnd]:
    return {model: ParkEnd(reason, NOW + seconds)}


def of(
    keys: list[KeyStanding],
    used: dict[int, dict[str, int]] | None = None,
    learned: dict[tuple[int, str], int] | None = None,
    per_hour: int = 0,
) -> Headroom:
    [one] = headrooms([PRO], keys, used or {}, learned or {}, per_hour={PRO: per_hour}, now=NOW, resets_at=RESETS)
    return one


TODAY = RESETS - NOW
DAY_GONE = parked(ParkReason.PER_DAY, TODAY)


@pytest.mark.parametrize(
    ("keys", "used", "learned", "left"),
    [
        # Nobody knows a limit.
        ([key(1)], {}, {}, None),
        ([key(1, 100), key(2)], {}, {}, None),
        # The key's own limit counts all models together.
        ([key(1, 100)], {}, {}, 100),
        ([key(1, 100)], {1: {PRO: 10, FLASH: 5}}, {}, 85),
        ([key(1, 100), key(2, 50)], {1: {FLASH: 120}}, {}, 50),
        # Google's limit counts this model alone; the tighter one holds.
        ([key(1)], {1: {PRO: 10, FLASH: 500}}, {(1, PRO): 50}, 40),
        ([key(1, 100)], {1: {PRO: 10, FLASH: 80}}, {(1, PRO): 50}, 10),
        ([key(1)], {1: {PRO: 10, FLASH: 80}}, {(1, ""): 100}, 10),
        # A key that told nothing is taken to be like the others, unless it has shown otherwise.
        ([key(1), key(2)], {1: {PRO: 10}}, {(1, PRO): 50}, 90),
        ([key(1), key(2, 500)], {2: {PRO: 60}}, {(1, PRO): 50}, 490),
        ([key(1), key(2), key(3), key(4)], {}, {(1, PRO): 50, (2, PRO): 100, (3, PRO): 100}, 350),
        # Parks: of the day and for ever nothing is left, of a minute everything.
        ([key(1, 100, DAY_GONE), key(2, 100)], {}, {}, 100),
        ([key(1, 0, DAY_GONE)], {}, {}, 0),
        ([key(1, 100, parked(ParkReason.PER_DAY, TODAY, ""))], {}, {}, 0),
        ([key(1, 100, parked(ParkReason.PER_DAY, TODAY, FLASH))], {}, {}, 100),
        ([key(1, 100, parked(ParkReason.PER_MINUTE, 30))], {}, {}, 100),
        ([key(1, 100, parked(ParkReason.NOT_OFFERED, 30))], {}, {}, 0),
        ([key(1, 5, spent_until=RESETS)], {}, {}, 0),
        # Out.
        ([key(1, 100, is_enabled=False), key(2, 100, is_readable=False)], {}, {}, 0),
        ([], {}, {}, 0),
    ],
)
def test_what_is_left(keys: list[KeyStanding], used: Any, learned: Any, left: int | None) -> None:
    assert of(keys, used, learned).left == left


def test_it_says_when_a_limit_is_only_guessed() -> None:
    assert of([key(1), key(2)], {}, {(1, PRO): 50}).is_guessed
    assert not of([key(1)], {}, {(1, PRO): 50}).is_guessed


def test_it_tells_ready_keys_and_the_first_return() -> None:
    resting = key(1, 100, parked(ParkReason.PER_MINUTE, 30))
    gone = key(2, 100, DAY_GONE)

    assert (of([resting, gone]).ready, of([resting, gone]).serving) == (0, 2)
    assert of([resting, gone]).returns_at == NOW + 30
    assert of([gone]).returns_at == RESETS
    # Its limit is used up although nobody has refused it yet.
    assert of([key(3, 5)], {3: {PRO: 5}}).returns_at == RESETS
    assert (of([resting, key(3, 5)]).ready, of([resting, key(3, 5)]).returns_at) == (1, 0)


@pytest.mark.parametrize(
    ("left", "per_hour", "exhausted_at"),
    [
        (100, 0, 0),
        (100, 50, NOW + 2 * 3600),
        # It lasts until the day begins anew.
        (100, 10, 0),
        (0, 10, NOW),
        (0, 0, NOW),
    ],
)
def test_the_forecast_follows_the_last_hour(left: int, per_hour: float, exhausted_at: float) -> None:
    used = {1: {PRO: 100 - left}}

    assert of([key(1, 100)], used, per_hour=per_hour).exhausted_at == exhausted_at


def test_without_a_limit_there_is_no_forecast() -> None:
    assert of([key(1)], per_hour=1000).exhausted_at == 0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.booleans()), max_size=8),
    st.integers(0, 8),
)
def test_one_more_key_never_leaves_less(numbers: list[tuple[int, int, bool]], extra: int) -> None:
    keys = [key(i, limit + 1, is_enabled=enabled) for i, (limit, _used, enabled) in enumerate(numbers)]
    used = {i: {PRO: count} for i, (_limit, count, _enabled) in enumerate(numbers)}

    before, after = of(keys, used), of([*keys, key(99, extra + 1)], used)

    assert before.left is not None
    assert after.left == before.left + extra + 1
    assert 0 <= before.left <= sum(one.daily_limit for one in keys)
    assert replace(after, left=0, ready=0, serving=0, returns_at=0, exhausted_at=0) == replace(
        before, left=0, ready=0, serving=0, returns_at=0, exhausted_at=0
    )


def test_what_is_used_most_is_shown_first() -> None:
    used = {1: {FLASH: 3, "gemini-3-pro": 0}, 2: {FLASH: 1, PRO: 2}}

    assert worth_showing(used, {(1, "gemma"): 9, (1, ""): 9}, [PRO, "other"], most=9) == [FLASH, PRO, "gemma", "other"]
    assert worth_showing(used, {}, [], most=1) == [FLASH]
