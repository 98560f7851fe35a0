"""The ledger counts exactly: against a naive model, and at the borders of minutes and days."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ledger import Ledger, windows
from keys.ledger.memory import MemoryLedger
from keys.ledger.windows import PACIFIC, Refusal, Standing, Take, Window
from tests.redises import ON_REDIS, redis_ledger

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 8, 21, 4, tzinfo=UTC).timestamp()
DAY = windows.member_day(1, 10, NOON, SHANGHAI)
MINUTE = windows.member_minute(1, 3)


@pytest.fixture(params=["memory", pytest.param("redis", marks=ON_REDIS)])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each store of the ledger: all promises below are kept by both."""
    if request.param == "memory":
        yield MemoryLedger()
    else:
        async with redis_ledger() as shared:
            yield shared


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_it_grants_up_to_the_limit_and_then_names_the_window_and_its_end(ledger: Ledger) -> None:
    answers = [await ledger.take([Take(MINUTE)], NOON + second) for second in range(4)]

    assert answers == [None, None, None, Refusal(MINUTE, NOON + 60)]


async def test_a_minute_runs_from_its_first_request(ledger: Ledger) -> None:
    for second in (0, 30, 59):
        assert await ledger.take([Take(MINUTE)], NOON + second) is None

    assert await ledger.take([Take(MINUTE)], NOON + 59.9) is not None
    assert await ledger.take([Take(MINUTE)], NOON + 60) is None
    assert await ledger.standing(MINUTE, NOON + 61) == Standing(1, NOON + 120)


async def test_a_refused_request_uses_up_no_other_window(ledger: Ledger) -> None:
    full = Window("full:2026-08-21", 0, NOON + 100)

    refusal = await ledger.take([Take(DAY), Take(MINUTE), Take(full)], NOON)

    assert refusal == Refusal(full, NOON + 100)
    assert (await ledger.standing(DAY, NOON)).used == 0
    assert await ledger.standing(MINUTE, NOON) == Standing(0, NOON)


async def test_two_takes_of_one_window_must_fit_together(ledger: Ledger) -> None:
    assert await ledger.take([Take(DAY, 6), Take(DAY, 6)], NOON) is not None
    assert (await ledger.standing(DAY, NOON)).used == 0


async def test_a_take_of_nothing_is_refused_only_when_the_window_is_used_up(ledger: Ledger) -> None:
    tokens = windows.member_tokens(1, 1000, NOON, SHANGHAI)

    assert await ledger.take([Take(tokens, 0)], NOON) is None
    await ledger.add(tokens, 999, NOON)
    assert await ledger.take([Take(tokens, 0)], NOON) is None
    await ledger.add(tokens, 5000, NOON)
    assert await ledger.take([Take(tokens, 0)], NOON) == Refusal(tokens, windows.next_midnight(NOON, SHANGHAI))


async def test_what_is_given_back_can_be_taken_again_but_a_minute_keeps_it(ledger: Ledger) -> None:
    takes = [Take(MINUTE), Take(DAY, 10)]
    assert await ledger.take(takes, NOON) is None

    await ledger.give_back(takes, NOON)

    assert (await ledger.standing(DAY, NOON)).used == 0
    assert (await ledger.standing(MINUTE, NOON)).used == 1


async def test_giving_back_yesterdays_request_leaves_today_alone(ledger: Ledger) -> None:
    evening, morning = moment("2026-08-21T23:59:50+08:00"), moment("2026-08-22T00:00:10+08:00")
    yesterday = windows.member_day(1, 5, evening, SHANGHAI)
    today = windows.member_day(1, 5, morning, SHANGHAI)
    assert await ledger.take([Take(yesterday)], evening) is None
    assert await ledger.take([Take(today)], morning) is None

    await ledger.give_back([Take(yesterday)], morning)

    assert (await ledger.standing(today, morning)).used == 1


async def test_a_restart_resets_nothing() -> None:
    ledger = MemoryLedger()
    ledger.restore(DAY.name, 10, DAY.ends_at or 0)
    ledger.restore(MINUTE.name, 3, NOON + 12)

    assert await ledger.take([Take(DAY)], NOON) is not None
    assert await ledger.take([Take(MINUTE)], NOON) == Refusal(MINUTE, NOON + 12)
    assert await ledger.take([Take(MINUTE)], NOON + 12) is None


async def test_a_window_is_raised_to_what_is_known_and_never_lowered(ledger: Ledger) -> None:
    await ledger.raise_to(DAY, 9, NOON)
    await ledger.raise_to(DAY, 4, NOON)

    assert (await ledger.standing(DAY, NOON)).used == 9
    assert await ledger.take([Take(DAY)], NOON) is None
    assert await ledger.take([Take(DAY)], NOON) == Refusal(DAY, windows.next_midnight(NOON, SHANGHAI))


async def test_ended_windows_are_swept() -> None:
    ledger = MemoryLedger()
    for address in range(1000):
        await ledger.take([Take(windows.address_day(str(address), 5, NOON, SHANGHAI))], NOON)

    later = NOON + 86400 * 2
    await ledger.take([Take(windows.address_day("new", 5, later, SHANGHAI))], later)

    assert len(ledger) == 1


async def test_sixty_parallel_requests_against_ten_get_exactly_ten(ledger: Ledger) -> None:
    answers = await asyncio.gather(
        *(ledger.take([Take(DAY), Take(windows.member_minute(1, 60))], NOON) for _ in range(60))
    )

    assert answers.count(None) == 10
    assert (await ledger.standing(windows.member_minute(1, 60), NOON)).used == 10


async def test_slots_are_granted_up_to_the_limit_and_again_once_left(ledger: Ledger) -> None:
    slots = windows.member_slots(1, 2)

    assert [await ledger.enter(slots, holder, NOON) for holder in (1, 2, 3)] == [True, True, False]
    assert await ledger.inside(slots, NOON) == 2

    await ledger.leave(slots, 1)

    assert await ledger.inside(slots, NOON) == 1
    assert await ledger.enter(slots, 3, NOON)
    assert not await ledger.enter(slots, 1, NOON)


async def test_a_slot_is_held_however_long_its_request_runs(ledger: Ledger) -> None:
    slots = windows.member_slots(1, 1)
    assert await ledger.enter(slots, 1, NOON)

    assert not await ledger.enter(slots, 2, NOON + windows.SLOT_SECONDS / 2)
    assert await ledger.inside(slots, NOON + windows.SLOT_SECONDS / 2) == 1


async def test_whoever_is_inside_stays_inside_also_under_a_lower_limit(ledger: Ledger) -> None:
    assert await ledger.enter(windows.member_slots(1, 2), 1, NOON)
    assert await ledger.enter(windows.member_slots(1, 2), 2, NOON)

    assert await ledger.enter(windows.member_slots(1, 1), 2, NOON)
    assert not await ledger.enter(windows.member_slots(1, 1), 3, NOON)
    assert await ledger.inside(windows.member_slots(1, 1), NOON) == 2


async def test_leaving_twice_or_without_having_entered_frees_nobody_elses_slot(ledger: Ledger) -> None:
    slots = windows.member_slots(1, 1)
    assert await ledger.enter(slots, 1, NOON)

    await ledger.leave(slots, 2)
    assert not await ledger.enter(slots, 2, NOON)
    await ledger.leave(slots, 1)
    await ledger.leave(slots, 1)

    assert await ledger.inside(slots, NOON) == 0
    assert await ledger.enter(slots, 2, NOON)


async def test_members_do_not_share_their_slots(ledger: Ledger) -> None:
    assert await ledger.enter(windows.member_slots(1, 1), 1, NOON)
    assert await ledger.enter(windows.member_slots(2, 1), 2, NOON)


async def test_of_sixty_requests_at_once_exactly_the_limit_get_a_slot(ledger: Ledger) -> None:
    slots = windows.member_slots(1, 7)

    entered = await asyncio.gather(*(ledger.enter(slots, holder, NOON) for holder in range(60)))

    assert entered.count(True) == 7
    for holder, is_in in enumerate(entered):
        if is_in:
            await ledger.leave(slots, holder)
    assert await ledger.inside(slots, NOON) == 0


class NaiveLedger:
    """The same promises in the plainest way: a list of what was taken."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.began: dict[str, float] = {}

    def used(self, window: Window, now: float) -> int:
        if window.ends_at is None and now >= self.began.get(window.name, -1e9) + 60:
            return 0
        return self.taken.get(window.name, 0)

    def count(self, window: Window, amount: int, now: float) -> None:
        used = self.used(window, now)
        if window.ends_at is None and now >= self.began.get(window.name, -1e9) + 60:
            self.began[window.name] = now
        self.taken[window.name] = max(0, used + amount)

    def take(self, takes: list[Take], now: float) -> bool:
        if any(not self._fits(take, now) for take in takes):
            return False
        for take in takes:
            if take.amount:
                self.count(take.window, take.amount, now)
        return True

    def _fits(self, take: Take, now: float) -> bool:
        used = self.used(take.window, now)
        return used < take.window.limit if take.amount == 0 else used + take.amount <= take.window.limit


WINDOWS = [
    windows.member_minute(1, 3),
    windows.member_minute(2, 1),
    windows.member_day(1, 4, NOON, SHANGHAI),
    windows.member_tokens(1, 20, NOON, SHANGHAI),
]
some_takes = st.lists(
    st.builds(Take, st.sampled_from(WINDOWS), st.integers(0, 3)),
    min_size=1,
    max_size=4,
    unique_by=lambda take: take.window,
)
steps = st.lists(
    st.tuples(st.sampled_from(["take", "give_back", "spend", "add"]), some_takes, st.sampled_from([0, 1, 25, 59, 60])),
    max_size=40,
)


@settings(deadline=None)
@given(steps)
def test_it_agrees_with_a_naive_ledger(history: list[tuple[str, list[Take], int]]) -> None:
    asyncio.run(_compare(MemoryLedger(), history))


@ON_REDIS
@settings(deadline=None, max_examples=40)
@given(steps)
def test_redis_agrees_with_a_naive_ledger(history: list[tuple[str, list[Take], int]]) -> None:
    async def compare() -> None:
        async with redis_ledger() as shared:
            await _compare(shared, history)

    asyncio.run(compare())


async def _compare(ledger: Ledger, history: list[tuple[str, list[Take], int]]) -> None:
    naive, now = NaiveLedger(), NOON
    held: Counter[Window] = Counter()
    for verb, takes, seconds in history:
        now += seconds
        if verb == "take":
            admission = await ledger.admit(takes, now)
            assert (admission.refusal is None) == naive.take(takes, now)
            assert [each.used for each in admission.standings] == [naive.used(take.window, now) for take in takes]
            if admission.refusal is None:
                held.update({take.window: take.amount for take in takes})
        elif verb == "add":
            for take in takes:
                await ledger.add(take.window, take.amount, now)
                naive.count(take.window, take.amount, now)
        else:
            # Only what was taken can be given back or spent, and only once.
            await _settle(ledger, naive, verb, [_at_most(take, held) for take in takes], now)
        for window in WINDOWS:
            assert (await ledger.standing(window, now)).used == naive.used(window, now)


def _at_most(take: Take, held: Counter[Window]) -> Take:
    amount = min(take.amount, held[take.window])
    held[take.window] -= amount
    return Take(take.window, amount)


async def _settle(ledger: Ledger, naive: NaiveLedger, verb: str, takes: list[Take], now: float) -> None:
    if verb == "spend":
        ledger.spend(takes, now)
        return
    await ledger.give_back(takes, now)
    for take in takes:
        if take.window.ends_at is not None:
            naive.count(take.window, -take.amount, now)


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-08-21T12:00:00+08:00", "Asia/Shanghai", "2026-08-22T00:00:00+08:00"),
        ("2026-08-21T12:00:00+00:00", "Asia/Kathmandu", "2026-08-21T18:15:00+00:00"),
        # Pacific: summer time begins on 2026-03-08 and ends on 2026-11-01.
        ("2026-03-08T00:30:00-08:00", "America/Los_Angeles", "2026-03-09T00:00:00-07:00"),
        ("2026-11-01T00:30:00-07:00", "America/Los_Angeles", "2026-11-02T00:00:00-08:00"),
        ("2026-11-01T01:30:00-08:00", "America/Los_Angeles", "2026-11-02T00:00:00-08:00"),
        ("2026-07-01T07:00:00+00:00", "America/Los_Angeles", "2026-07-02T07:00:00+00:00"),
        ("2026-07-01T06:59:59+00:00", "America/Los_Angeles", "2026-07-01T07:00:00+00:00"),
        # Havana's clocks skip midnight itself on 2026-03-08.
        ("2026-03-07T12:00:00-05:00", "America/Havana", "2026-03-08T01:00:00-04:00"),
    ],
)
def test_the_next_midnight_knows_summer_time(now: str, zone: str, midnight: str) -> None:
    assert windows.next_midnight(moment(now), ZoneInfo(zone)) == moment(midnight)


@settings(deadline=None)
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["Asia/Shanghai", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_a_day_ends_at_the_first_moment_of_the_next_date(naive: datetime, name: str) -> None:
    zone, now = ZoneInfo(name), naive.replace(tzinfo=UTC).timestamp()

    end = windows.next_midnight(now, zone)

    assert now < end <= now + 25 * 3600
    assert windows.day(end - 1, zone) == windows.day(now, zone) == datetime.fromtimestamp(now, zone).date().isoformat()
    assert windows.day(end, zone) > windows.day(now, zone)


def test_window_names_carry_the_day_of_their_zone() -> None:
    now = moment("2026-08-22T03:00:00+08:00")

    assert windows.member_minute(7, 30).name == "member:7:minute"
    assert windows.member_day(7, 30, now, SHANGHAI).name == "member:7:day:2026-08-22"
    assert windows.member_tokens(7, 30, now, SHANGHAI).name == "member:7:tokens:2026-08-22"
    assert windows.address_day("1.2.3.4", 30, now, SHANGHAI).name == "address:1.2.3.4:day:2026-08-22"
    assert windows.key_day(7, 30, now).name == "key:7:day:2026-08-21"
    assert windows.key_day(7, 30, now).ends_at == windows.next_midnight(now, PACIFIC)
