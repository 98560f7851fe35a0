"""Which key is lent: the load spreads, resting keys rest, limits hold under any concurrency."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ledger.memory import MemoryLedger
from keys.ledger.windows import Refusal, Standing, Take, Window, key_limit
from keys.pool import Disabling, Lease, ParkRow, Pool, PoolKey, Unavailable
from keys.rules import Outcome, ParkReason, Rest, Verdict, next_pacific_midnight

START = datetime(2026, 8, 21, 12, 0, tzinfo=UTC)
NOW = START.timestamp()
PRO, FLASH = "gemini-2.5-pro", "gemini-2.5-flash"
MIDNIGHT = next_pacific_midnight(START)


def key(id: int, daily_limit: int | None = None, disabled: bool = False) -> PoolKey:
    return PoolKey(id, f"AIzaSecretOfKey{id}", f"key{id}", "ai_studio", daily_limit, disabled)


def parked(id: int, model: str, seconds: float, reason: ParkReason = ParkReason.PER_MINUTE) -> ParkRow:
    return ParkRow(id, model, reason, START + timedelta(seconds=seconds), "", START)


def a_pool(count: int, *parks: ParkRow, daily_limit: int = 0) -> Pool:
    pool = Pool(MemoryLedger())
    pool.replace([key(id) for id in range(1, count + 1)], parks, daily_limit=daily_limit, revision=1)
    return pool


async def lend(pool: Pool, model: str = PRO, avoid: Sequence[int] = (), now: float = NOW) -> Lease:
    lease = await pool.lease(model, avoid, now)
    assert isinstance(lease, Lease), lease
    return lease


async def use(pool: Pool, model: str = PRO, now: float = NOW) -> int:
    lease = await lend(pool, model, now=now)
    await pool.release(lease, refund=False, now=now)
    return lease.key.id


def rested(seconds: float | None, reason: ParkReason = ParkReason.PER_MINUTE, whole_key: bool = False) -> Verdict:
    until = None if seconds is None else START + timedelta(seconds=seconds)
    return Verdict(Outcome.RATE_LIMITED, 429, "Slow down.", Rest(reason, until, "q", whole_key), None, "q")


DEAD = Verdict(Outcome.KEY_REJECTED, 400, "API key not valid.", None, "API key not valid.")


async def test_requests_in_a_row_go_around_all_keys() -> None:
    pool = a_pool(4)

    used = [await use(pool) for _ in range(12)]

    assert used == [1, 2, 3, 4] * 3


async def test_requests_at_once_spread_evenly() -> None:
    pool = a_pool(4)

    leases = [await lend(pool, random.choice([PRO, FLASH])) for _ in range(12)]

    assert sorted(lease.key.id for lease in leases) == sorted([1, 2, 3, 4] * 3)
    assert pool.in_flight == 12


async def test_the_key_with_fewest_in_flight_comes_first_whenever_it_was_used() -> None:
    pool = a_pool(3)
    first, _, third = [await lend(pool) for _ in range(3)]
    await pool.release(third, refund=False, now=NOW)
    await pool.release(first, refund=False, now=NOW)

    assert [(await lend(pool)).key.id for _ in range(3)] == [1, 3, 2]


async def test_keys_already_tried_are_lent_only_when_no_other_fits() -> None:
    pool = a_pool(3)
    busy = await lend(pool, avoid=[1, 2])

    assert busy.key.id == 3
    assert (await lend(pool, avoid=[1, 2])).key.id == 3
    assert (await lend(pool, avoid=[1, 2, 3])).key.id == 1


async def test_a_parked_key_rests_for_its_model_only() -> None:
    pool = a_pool(2)
    lease = await lend(pool)
    park = pool.judge(lease, rested(48), NOW)
    await pool.release(lease, refund=True, now=NOW)

    assert park == ParkRow(1, PRO, ParkReason.PER_MINUTE, START + timedelta(seconds=48), "q", START)
    assert {await use(pool, PRO) for _ in range(4)} == {2}
    assert {await use(pool, FLASH) for _ in range(4)} == {1, 2}
    assert {await use(pool, PRO, NOW + 48) for _ in range(4)} == {1, 2}


async def test_a_park_of_the_whole_key_counts_for_every_model() -> None:
    pool = a_pool(2)
    lease = await lend(pool)

    park = pool.judge(lease, rested(48, whole_key=True), NOW)

    assert isinstance(park, ParkRow)
    assert park.model == ""
    assert {await use(pool, FLASH) for _ in range(4)} == {2}
    assert pool.usable(NOW) == 1
    assert pool.usable(NOW + 48) == 2


async def test_a_shorter_rest_does_not_shorten_a_longer_one() -> None:
    pool = a_pool(1)
    one, two = await lend(pool), await lend(pool)
    assert pool.judge(one, rested(500), NOW) is not None

    assert pool.judge(two, rested(20), NOW) is None
    assert await pool.lease(PRO, (), NOW + 21) == Unavailable("resting", START + timedelta(seconds=500))


async def test_an_answer_without_details_pauses_five_seconds_doubling_to_ten_minutes() -> None:
    pool, now, pauses = a_pool(1), NOW, []
    for _ in range(9):
        lease = await lend(pool, now=now)
        park = pool.judge(lease, rested(None, ParkReason.RESTING), now)
        assert isinstance(park, ParkRow)
        pauses.append(park.until.timestamp() - now)
        await pool.release(lease, refund=True, now=now)
        now = park.until.timestamp()

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]


async def test_a_burst_of_answers_without_details_counts_once_and_a_success_clears_it() -> None:
    pool = a_pool(1)
    leases = [await lend(pool) for _ in range(3)]
    parks = [pool.judge(lease, rested(None, ParkReason.RESTING), NOW) for lease in leases]
    assert parks[1:] == [None, None]

    pool.succeeded(leases[0])
    again = pool.judge(await lend(pool, now=NOW + 6), rested(None, ParkReason.RESTING), NOW + 6)

    assert isinstance(again, ParkRow)
    assert again.until.timestamp() == NOW + 11


async def test_a_dead_key_is_out_at_once() -> None:
    pool = a_pool(2)
    lease, other = await lend(pool), await lend(pool)
    await pool.release(other, refund=False, now=NOW)

    assert pool.judge(lease, DEAD, NOW) == Disabling(1, "API key not valid.")
    assert pool.judge(lease, DEAD, NOW) is None
    await pool.release(lease, refund=True, now=NOW)

    assert {await use(pool) for _ in range(4)} == {2}
    assert pool.usable(NOW) == pool.enabled == 1


async def test_a_verdict_without_blame_changes_nothing() -> None:
    pool = a_pool(1)
    lease = await lend(pool)

    assert pool.judge(lease, Verdict(Outcome.UNAVAILABLE, 503, "Overloaded."), NOW) is None
    assert pool.usable(NOW) == 1


async def test_a_verdict_on_a_key_that_was_deleted_meanwhile_writes_nothing() -> None:
    pool = a_pool(1)
    lease = await lend(pool)
    pool.replace([key(2)], [], daily_limit=0, revision=2)

    assert pool.judge(lease, DEAD, NOW) is None
    assert pool.judge(lease, rested(48), NOW) is None
    await pool.release(lease, refund=True, now=NOW)
    assert await use(pool) == 2


# What the database says, and what it does not know yet.


async def test_a_reload_read_before_our_park_was_written_does_not_free_the_key() -> None:
    pool = a_pool(1)
    park = pool.judge(await lend(pool), rested(48), NOW)
    assert isinstance(park, ParkRow)

    pool.replace([key(1)], [], daily_limit=0, revision=2)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    pool.confirm([park], revision=4)
    pool.replace([key(1)], [], daily_limit=0, revision=3)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)


async def test_a_park_deleted_by_an_admin_frees_the_key_at_once() -> None:
    pool = a_pool(1)
    park = pool.judge(await lend(pool), rested(48), NOW)
    assert isinstance(park, ParkRow)
    pool.confirm([park], revision=2)
    pool.replace([key(1)], [park], daily_limit=0, revision=2)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    pool.replace([key(1)], [], daily_limit=0, revision=3)

    assert isinstance(await pool.lease(PRO, (), NOW), Lease)


async def test_a_confirmation_that_comes_after_the_reload_frees_the_key_too() -> None:
    pool = a_pool(2)
    lease = await lend(pool)
    park = pool.judge(lease, rested(48), NOW)
    assert isinstance(park, ParkRow)
    await pool.release(lease, refund=True, now=NOW)
    pool.replace([key(1), key(2)], [], daily_limit=0, revision=3)
    assert await use(pool) == await use(pool) == 2

    pool.confirm([park], revision=2)

    assert await use(pool) == 1


async def test_a_late_confirmation_of_a_park_leaves_a_newer_one_in_force() -> None:
    pool = a_pool(1)
    lease = await lend(pool)
    first, second = pool.judge(lease, rested(48), NOW), pool.judge(lease, rested(500), NOW)
    assert first is not None
    assert second is not None

    pool.confirm([first], revision=2)
    pool.replace([key(1)], [], daily_limit=0, revision=2)

    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)


async def test_a_key_enabled_again_by_an_admin_is_lent_at_once() -> None:
    pool = a_pool(1)
    disabling = pool.judge(await lend(pool), DEAD, NOW)
    assert disabling is not None
    pool.replace([key(1)], [], daily_limit=0, revision=2)
    assert await pool.lease(PRO, (), NOW) == Unavailable("no_keys", None)

    pool.confirm([disabling], revision=3)
    pool.replace([key(1, disabled=True)], [], daily_limit=0, revision=3)
    assert await pool.lease(PRO, (), NOW) == Unavailable("no_keys", None)
    pool.replace([key(1)], [], daily_limit=0, revision=4)

    assert isinstance(await pool.lease(PRO, (), NOW), Lease)


async def test_leases_and_the_order_of_use_survive_a_reload() -> None:
    pool = a_pool(3)
    busy = await lend(pool)
    assert await use(pool) == 2

    pool.replace([key(id) for id in (1, 2, 3, 4)], [], daily_limit=0, revision=2)

    assert [await use(pool) for _ in range(3)] == [3, 4, 2]
    await pool.release(busy, refund=False, now=NOW)
    assert pool.in_flight == 0
    assert await use(pool) == 1


# Why there is no key, and until when.


async def test_no_enabled_key_is_not_healed_by_time() -> None:
    pool = Pool(MemoryLedger())
    assert await pool.lease(PRO, (), NOW) == Unavailable("no_keys", None)

    pool.replace([key(1, disabled=True)], [], daily_limit=0, revision=1)

    assert await pool.lease(PRO, (), NOW) == Unavailable("no_keys", None)


async def test_the_earliest_return_among_the_keys_that_offer_the_model_is_told() -> None:
    pool = a_pool(
        3,
        parked(1, PRO, 90),
        parked(2, "", 70),
        parked(3, PRO, 10, ParkReason.NOT_OFFERED),
    )

    assert await pool.lease(PRO, (), NOW) == Unavailable("resting", START + timedelta(seconds=70))


async def test_a_model_that_no_key_offers_is_told_apart() -> None:
    pool = a_pool(2, parked(1, PRO, 90, ParkReason.NOT_OFFERED), parked(2, PRO, 60, ParkReason.NOT_OFFERED))

    assert await pool.lease(PRO, (), NOW) == Unavailable("not_offered", START + timedelta(seconds=60))


async def test_keys_that_used_up_their_day_are_exhausted() -> None:
    pool = Pool(MemoryLedger())
    park = ParkRow(2, PRO, ParkReason.PER_DAY, MIDNIGHT, "q", START)
    pool.replace([key(1, daily_limit=1), key(2)], [park], daily_limit=5, revision=1)
    await lend(pool)

    assert await pool.lease(PRO, (), NOW) == Unavailable("exhausted", MIDNIGHT)
    assert (await lend(pool, FLASH)).key.id == 2


# The day limit.


async def test_the_day_limit_is_hard_and_a_key_may_have_its_own() -> None:
    pool = Pool(MemoryLedger())
    pool.replace([key(1), key(2, daily_limit=5)], [], daily_limit=2, revision=1)

    used = [await use(pool, random.choice([PRO, FLASH])) for _ in range(7)]

    assert sorted(used) == [1, 1, 2, 2, 2, 2, 2]
    assert await pool.lease(FLASH, (), NOW) == Unavailable("exhausted", MIDNIGHT)
    assert pool.usable(NOW) == 0
    assert await use(pool, now=MIDNIGHT.timestamp()) in (1, 2)


async def test_a_used_up_day_is_remembered_over_changes_to_anything_else() -> None:
    pool = Pool(MemoryLedger())
    pool.replace([key(1), key(2)], [], daily_limit=1, revision=1)
    assert [await use(pool) for _ in range(2)] == [1, 2]
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    pool.replace([key(1), key(2), key(3)], [parked(1, PRO, 60)], daily_limit=1, revision=2)
    assert (pool.usable(NOW), await use(pool)) == (1, 3)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    pool.replace([key(1, daily_limit=2), key(2, daily_limit=1), key(3)], [], daily_limit=1, revision=3)
    assert (pool.usable(NOW), await use(pool)) == (1, 1)
    pool.replace([key(1), key(2), key(3)], [], daily_limit=3, revision=4)
    assert pool.usable(NOW) == 3


@pytest.mark.parametrize(
    ("kind", "own", "limit"),
    [
        ("ai_studio", None, 100),
        ("ai_studio", 7, 7),
        ("ai_studio", 0, 0),
        ("vertex_service_account", None, 0),
        ("vertex_service_account", 7, 7),
        ("vertex_express", None, 0),
        ("vertex_express", 7, 7),
    ],
)
def test_the_limit_for_all_is_of_ai_studio_keys_and_every_key_may_have_its_own(
    kind: str, own: int | None, limit: int
) -> None:
    assert key_limit(kind, own, 100) == limit


async def test_a_service_account_serves_on_when_the_day_of_the_keys_is_used_up() -> None:
    pool = Pool(MemoryLedger())
    pool.replace([key(1), replace(key(2), kind="vertex_service_account")], [], daily_limit=2, revision=1)

    used = [await use(pool) for _ in range(9)]

    assert sorted(used) == [1, 1, *[2] * 7]
    assert [standing.daily_limit for standing in pool.standings(NOW)] == [2, 0]


async def test_a_day_limit_of_zero_means_no_limit() -> None:
    pool = Pool(MemoryLedger())
    pool.replace([key(1, daily_limit=0)], [], daily_limit=1, revision=1)
    assert [await use(pool) for _ in range(50)] == [1] * 50

    pool.replace([key(1)], [], daily_limit=0, revision=2)
    assert [await use(pool) for _ in range(50)] == [1] * 50


async def test_a_refund_gives_the_day_count_back_once() -> None:
    pool = a_pool(1, daily_limit=1)
    lease = await lend(pool)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    await pool.release(lease, refund=True, now=NOW)
    await pool.release(lease, refund=True, now=NOW)

    assert await use(pool) == 1
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)


async def test_a_raised_limit_counts_at_once() -> None:
    pool = a_pool(1, daily_limit=1)
    await use(pool)
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)

    pool.replace([key(1)], [], daily_limit=2, revision=2)

    assert await use(pool) == 1
    assert isinstance(await pool.lease(PRO, (), NOW), Unavailable)


class SuspendingLedger:
    """A ledger far away: every call suspends before and after it counts."""

    def __init__(self) -> None:
        self._memory = MemoryLedger()

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        await asyncio.sleep(0)
        refusal = await self._memory.take(takes, now)
        await asyncio.sleep(0)
        return refusal

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        await asyncio.sleep(0)
        await self._memory.give_back(takes, now)
        await asyncio.sleep(0)

    def spend(self, takes: Sequence[Take], now: float) -> None:
        self._memory.spend(takes, now)

    async def add(self, window: Window, amount: int, now: float) -> None:
        await self._memory.add(window, amount, now)

    async def standing(self, window: Window, now: float) -> Standing:
        return await self._memory.standing(window, now)


@pytest.mark.parametrize("ledger", [MemoryLedger, SuspendingLedger])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_limits_hold_and_nothing_stays_in_flight_under_concurrency(ledger: type, data: st.DataObject) -> None:
    limits = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    requests = data.draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([PRO, FLASH]), st.integers(0, 9)), max_size=30
        )
    )
    asyncio.run(_run_all(ledger(), limits, requests))


async def _run_all(
    ledger: MemoryLedger | SuspendingLedger, limits: list[int], requests: list[tuple[int, bool, str, int]]
) -> None:
    pool = Pool(ledger)
    keys = [key(id, daily_limit=limit) for id, limit in enumerate(limits, 1)]
    pool.replace(keys, [], daily_limit=0, revision=1)
    kept: list[int] = []
    held = dict.fromkeys(range(1, len(limits) + 1), 0)

    async def request(pauses: int, refund: bool, model: str) -> None:
        lease = await pool.lease(model, (), NOW)
        if isinstance(lease, Unavailable):
            return
        held[lease.key.id] += 1
        assert held[lease.key.id] + kept.count(lease.key.id) <= limits[lease.key.id - 1]
        try:
            for _ in range(pauses):
                await asyncio.sleep(0)
        finally:
            held[lease.key.id] -= 1
            if not refund:
                kept.append(lease.key.id)
            await pool.release(lease, refund=refund, now=NOW)

    tasks = [asyncio.create_task(request(pauses, refund, model)) for pauses, refund, model, _ in requests]
    for task, (_, _, _, steps) in zip(tasks, requests, strict=True):
        if steps == 9:
            await asyncio.sleep(0)
            task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError)

    assert pool.in_flight == 0
    assert not pool._in_flight
    if not any(steps == 9 for *_, steps in requests):
        # Nothing was cancelled: then every count that was given back can be taken again, and no more.
        rest = [lease async for lease in _all_leases(pool)]
        assert len(rest) == sum(limits) - len(kept)


async def _all_leases(pool: Pool):
    while isinstance(lease := await pool.lease(PRO, (), NOW), Lease):
        yield lease


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.sampled_from(["lend", "release", "park", "reload", "wait"]),
            st.integers(0, 9),
            st.sampled_from([PRO, FLASH]),
        ),
        max_size=60,
    ),
)
@settings(deadline=None)
def test_it_always_lends_the_key_with_fewest_in_flight_that_rested_longest(
    count: int, history: list[tuple[str, int, str]]
) -> None:
    asyncio.run(_compare(count, history))


async def _compare(count: int, history: list[tuple[str, int, str]]) -> None:
    """Against the plainest pool: look at every key each time."""
    pool, now, uses, revision = a_pool(count), NOW, 0, 1
    used, out, parks = dict.fromkeys(range(1, count + 1), 0), [], {}
    for verb, number, model in history:
        if verb == "lend":
            avoid = [number] if number else []
            fits = [id for id in used if parks.get((id, model), 0) <= now]
            order = {id: (id in avoid, sum(lease.key.id == id for lease in out), used[id], id) for id in fits}
            lease = await pool.lease(model, avoid, now)
            if not fits:
                ends = min(parks[id, model] for id in used)
                assert lease == Unavailable("resting", datetime.fromtimestamp(ends, UTC))
                continue
            assert isinstance(lease, Lease)
            assert lease.key.id == min(order, key=lambda id: order[id])
            uses += 1
            used[lease.key.id] = uses
            out.append(lease)
        elif verb == "release" and out:
            await pool.release(out.pop(number % len(out)), refund=bool(number % 2), now=now)
        elif verb == "park" and out:
            lease = out[number % len(out)]
            park = pool.judge(lease, rested(now - NOW + 7 * number + 1), now)
            place = (lease.key.id, lease.model)
            assert (park is None) == (parks.get(place, 0) >= now + 7 * number + 1)
            parks[place] = max(parks.get(place, 0), now + 7 * number + 1)
        elif verb == "reload":
            revision += 1
            pool.replace([key(id) for id in used], [], daily_limit=0, revision=revision)
        elif verb == "wait":
            now += number * 5


async def test_the_reason_is_told_anew_when_something_has_changed() -> None:
    pool = a_pool(1, parked(1, PRO, 90))
    assert await pool.lease(PRO, (), NOW) == Unavailable("resting", START + timedelta(seconds=90))
    lease = await lend(pool, FLASH)

    pool.judge(lease, rested(500, whole_key=True), NOW)
    assert await pool.lease(PRO, (), NOW) == Unavailable("resting", START + timedelta(seconds=500))

    pool.judge(lease, DEAD, NOW)
    assert await pool.lease(PRO, (), NOW) == Unavailable("no_keys", None)


async def test_two_thousand_keys_cost_no_more_than_a_few() -> None:
    async def seconds(keys: int) -> float:
        pool = a_pool(keys, *(parked(id, PRO, 1000) for id in range(1, keys // 2)), daily_limit=1000)
        await use(pool)
        began = time.process_time()
        for _ in range(500):
            await use(pool)
        return time.process_time() - began

    few, many = await seconds(20), await seconds(2000)

    # A scan of all keys would take about a hundred times as long.
    assert many < 10 * few + 0.01


def test_a_key_shows_no_secret() -> None:
    assert "Secret" not in repr(key(1))
    assert "Secret" not in repr(Lease(key(1), PRO))
