"""The ledger in Redis when things go wrong: lost counts, clients that leave, processes that die, Redis itself away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keys.ledger import Away, windows
from keys.ledger.redis import Counted, RedisLedger, channel_of
from keys.ledger.sheltered import ShelteredLedger
from keys.ledger.windows import SLOT_SECONDS, Take, Window
from tests.redises import ON_REDIS, OWN_REDIS, REDIS_URL, OwnRedis, fresh_prefix, line_to, own_redis, redis_ledger

NOW = 1_787_000_000.0
DAY = Window("member:1:day:2026-08-21", 10, NOW + 3600)
MINUTE = windows.member_minute(1, 3)


@asynccontextmanager
async def ledger_at(server: OwnRedis, counted: list[Counted]) -> AsyncIterator[RedisLedger]:
    """A ledger of its own server; ``counted`` is what the database knows, and may change."""

    async def recount() -> list[Counted]:
        return counted

    async with line_to(server.url, "hajimi") as line:
        yield RedisLedger(line, "hajimi", recount)


# What Redis has lost, the database still has.


@ON_REDIS
async def test_a_fresh_redis_is_told_what_the_database_knows_before_anything_is_granted() -> None:
    async with redis_ledger([(DAY.name, 9, DAY.ends_at or 0), (MINUTE.name, 2, NOW + 12)]) as ledger:
        assert await ledger.take([Take(DAY)], NOW) is None
        assert await ledger.take([Take(DAY)], NOW) is not None
        assert (await ledger.standing(MINUTE, NOW)).used == 2
        assert (await ledger.standing(MINUTE, NOW)).resets_at == NOW + 12


@OWN_REDIS
@pytest.mark.parametrize("persists", [False, True])
async def test_a_redis_that_was_killed_counts_on_where_the_database_stands(tmp_path: Path, persists: bool) -> None:
    with own_redis(tmp_path / "redis", persists=persists) as server:
        counted = [(DAY.name, 1, DAY.ends_at or 0)]
        async with ledger_at(server, counted) as ledger:
            assert await ledger.take([Take(DAY)], NOW) is None
            # Written by the journal meanwhile; a Redis with an old file knows less.
            ledger.spend([Take(DAY)], NOW)
            counted[:] = [(DAY.name, 8, DAY.ends_at or 0)]
            server.kill()
            server.start()

            grants = [await ledger.take([Take(DAY)], NOW) for _ in range(3)]

            assert [grant is None for grant in grants] == [True, True, False]


@ON_REDIS
async def test_what_redis_knows_better_than_the_database_stays() -> None:
    async with redis_ledger([(DAY.name, 2, DAY.ends_at or 0)]) as ledger:
        for _ in range(5):
            await ledger.take([Take(DAY)], NOW)

        await ledger.restore(NOW)

        assert (await ledger.standing(DAY, NOW)).used == 7


@ON_REDIS
async def test_ended_windows_do_not_stay_for_ever() -> None:
    prefix = fresh_prefix()
    async with redis_ledger(prefix=prefix) as ledger, line_to_same(prefix) as client:
        await ledger.take([Take(DAY), Take(MINUTE)], NOW)

        lives = [await client.ttl(f"{prefix}:{window.name}") for window in (DAY, MINUTE)]

        assert lives == [7200, 3660]


@asynccontextmanager
async def line_to_same(prefix: str) -> AsyncIterator:
    async with line_to(REDIS_URL, prefix) as line:
        yield line.client


# Clients that leave, processes that die.


@ON_REDIS
async def test_a_client_that_leaves_while_the_ledger_is_asked_takes_nothing() -> None:
    async with redis_ledger() as ledger:
        slots = windows.member_slots(1, 5)
        for number in range(40):
            asking = asyncio.create_task(ledger.take([Take(DAY)], NOW))
            entering = asyncio.create_task(ledger.enter(slots, number, NOW))
            for _ in range(number % 8):
                await asyncio.sleep(0)
            asking.cancel()
            entering.cancel()
            granted, entered = await asyncio.gather(asking, entering, return_exceptions=True)
            if granted is None:
                await ledger.give_back([Take(DAY)], NOW)
            if entered is True:
                await ledger.leave(slots, number)

        assert (await ledger.standing(DAY, NOW)).used == 0
        assert await ledger.inside(slots, NOW) == 0


@ON_REDIS
async def test_the_slots_of_a_process_that_died_come_free_those_of_the_living_do_not() -> None:
    prefix, slots = fresh_prefix(), windows.member_slots(1, 2)
    async with redis_ledger(prefix=prefix) as living, redis_ledger(prefix=prefix) as dying:
        assert await dying.enter(slots, 1, NOW)
        assert await living.enter(slots, 2, NOW)
        later = NOW
        for _ in range(3):
            later += SLOT_SECONDS / 3
            await living.renew(later)

        assert await living.inside(slots, later) == 1
        assert await living.enter(slots, 3, later)
        assert not await living.enter(slots, 4, later)


LATE = NOW + SLOT_SECONDS + 1


@ON_REDIS
async def test_what_a_process_that_died_had_taken_is_given_back_what_it_had_spent_is_not() -> None:
    prefix = fresh_prefix()
    async with redis_ledger(prefix=prefix) as living, redis_ledger(prefix=prefix) as dying:
        for _ in range(6):
            assert await dying.take([Take(DAY)], NOW) is None
        dying.spend([Take(DAY, 2)], NOW)
        assert await living.take([Take(DAY)], NOW) is None
        await living.renew(LATE - 1)

        await living.reclaim(LATE)

        # Two spent, and one that the living process still holds.
        assert (await living.standing(DAY, LATE)).used == 3
        await living.reclaim(LATE)
        assert (await living.standing(DAY, LATE)).used == 3


@ON_REDIS
async def test_what_a_dead_process_had_answered_is_counted_as_the_database_says() -> None:
    prefix, counted = fresh_prefix(), [(DAY.name, 0, DAY.ends_at or 0)]
    async with redis_ledger(counted, prefix=prefix) as living, redis_ledger(prefix=prefix) as dying:
        for _ in range(6):
            assert await dying.take([Take(DAY)], NOW) is None
        # Written down, and killed before Redis heard of it.
        counted[:] = [(DAY.name, 4, DAY.ends_at or 0)]

        await living.reclaim(LATE)

        assert (await living.standing(DAY, LATE)).used == 4


@ON_REDIS
async def test_a_process_that_was_taken_for_dead_settles_what_it_has() -> None:
    prefix = fresh_prefix()
    async with redis_ledger(prefix=prefix) as living, redis_ledger(prefix=prefix) as slow:
        assert await slow.take([Take(DAY, 6)], NOW) is None
        await living.reclaim(LATE)
        assert (await living.standing(DAY, LATE)).used == 0

        slow.spend([Take(DAY, 2)], LATE)
        await slow.give_back([Take(DAY)], LATE)
        assert (await living.standing(DAY, LATE)).used == 2
        assert await slow.take([Take(DAY)], LATE) is None

        # The two spent, the three it still has, and the new one.
        assert (await living.standing(DAY, LATE)).used == 6


@ON_REDIS
async def test_a_process_that_ends_leaves_nothing_behind() -> None:
    prefix = fresh_prefix()
    async with redis_ledger(prefix=prefix) as living, redis_ledger(prefix=prefix) as ending:
        assert await ending.take([Take(DAY, 6)], NOW) is None

        await ending.resign()
        await living.reclaim(NOW)

        assert (await living.standing(DAY, NOW)).used == 0


@OWN_REDIS
async def test_what_is_under_way_counts_in_a_redis_that_has_lost_everything(tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis") as server:
        async with ledger_at(server, []) as ledger, ledger_at(server, []) as other:
            assert await ledger.take([Take(DAY, 5)], NOW) is None
            assert await other.take([Take(DAY, 3)], NOW) is None
            server.kill()
            server.start()

            grants = [await which.take([Take(DAY)], NOW) for which in (ledger, other, ledger)]

            assert [grant is None for grant in grants] == [True, True, False]
            await ledger.give_back([Take(DAY, 5)], NOW)
            other.spend([Take(DAY, 3)], NOW)
            assert (await ledger.standing(DAY, NOW)).used == 5


@OWN_REDIS
async def test_what_was_written_down_while_redis_was_away_is_counted_once(tmp_path: Path) -> None:
    counted: list[Counted] = []
    with own_redis(tmp_path / "redis") as server:
        async with ledger_at(server, counted) as ledger:
            assert await ledger.take([Take(DAY, 5)], NOW) is None
            server.kill()
            with pytest.raises(Away):
                await ledger.take([Take(DAY)], NOW)
            counted[:] = [(DAY.name, 5, DAY.ends_at or 0)]
            ledger.spend([Take(DAY, 5)], NOW)
            server.start()
            await asyncio.sleep(0.6)

            assert await ledger.take([Take(DAY)], NOW) is None
            ledger.pay()

            assert (await ledger.standing(DAY, NOW)).used == 6


@ON_REDIS
async def test_processes_hear_when_a_full_window_has_room_again() -> None:
    prefix = fresh_prefix()
    async with (
        redis_ledger(prefix=prefix) as ledger,
        line_to_same(prefix) as client,
        client.pubsub(ignore_subscribe_messages=True) as ears,
    ):
        await ears.subscribe(channel_of(prefix))
        full = Window("key:1:day:2026-08-21", 2, NOW + 3600)
        await ledger.take([Take(full, 1)], NOW)
        await ledger.give_back([Take(full)], NOW)
        await ledger.take([Take(full, 2)], NOW)
        await ledger.give_back([Take(full)], NOW)

        heard = [message["data"] async for message in _messages(ears)]

        assert heard == [b'["","room"]']


async def _messages(ears, seconds: float = 0.5) -> AsyncIterator[dict]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if message := await ears.get_message(timeout=0.1):
            yield message


# Redis away.


@OWN_REDIS
@pytest.mark.parametrize("way", ["kill", "pause"])
async def test_while_redis_is_away_nothing_is_granted_and_nobody_waits_long(tmp_path: Path, way: str) -> None:
    with own_redis(tmp_path / "redis") as server:
        async with ledger_at(server, []) as ledger:
            assert await ledger.take([Take(DAY)], NOW) is None
            getattr(server, way)()
            began = time.monotonic()

            answers = await asyncio.gather(*(ledger.take([Take(DAY)], NOW) for _ in range(50)), return_exceptions=True)
            # These never fail: whoever settles must go on.
            await ledger.give_back([Take(DAY)], NOW)
            await ledger.add(DAY, 5, NOW)
            await ledger.leave(windows.member_slots(1, 1), 1)

            assert all(isinstance(answer, Away) for answer in answers)
            assert time.monotonic() - began < 10


@OWN_REDIS
async def test_what_was_settled_while_redis_was_away_is_settled_when_it_is_back(tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis", persists=True) as server:
        async with ledger_at(server, []) as ledger:
            assert await ledger.take([Take(DAY, 6)], NOW) is None
            server.kill()
            with pytest.raises(Away):
                await ledger.take([Take(DAY)], NOW)
            await ledger.give_back([Take(DAY, 4)], NOW)
            server.start()
            await asyncio.sleep(0.6)

            ledger.pay()

            assert (await ledger.standing(DAY, NOW)).used == 2


@OWN_REDIS
async def test_a_process_that_goes_on_alone_counts_from_where_the_database_stands_and_comes_back(
    tmp_path: Path,
) -> None:
    counted = [(DAY.name, 3, DAY.ends_at or 0)]

    async def recount() -> list[Counted]:
        return counted

    with own_redis(tmp_path / "redis") as server:
        async with ledger_at(server, counted) as shared:
            ledger = ShelteredLedger(shared, recount)
            assert (await ledger.admit([Take(DAY)], NOW)).standings[0].used == 4
            ledger.spend([Take(DAY)], NOW)
            counted[:] = [(DAY.name, 8, DAY.ends_at or 0)]
            server.kill()

            alone = [await ledger.take([Take(DAY)], NOW) for _ in range(3)]

            assert ledger.is_alone
            assert [grant is None for grant in alone] == [True, True, False]
            counted[:] = [(DAY.name, 10, DAY.ends_at or 0)]
            server.start()
            keeping = asyncio.create_task(ledger.keep(lambda: NOW))
            async with asyncio.timeout(20):
                while ledger.is_alone:
                    await asyncio.sleep(0.05)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            assert await ledger.take([Take(DAY)], NOW) is not None
            assert (await shared.standing(DAY, NOW)).used == 10
