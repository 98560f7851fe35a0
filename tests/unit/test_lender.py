"""Which key an attempt gets: none of an upstream that is out, and one that is free, if need be after a wait."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from keys.ledger.memory import MemoryLedger
from keys.pool import Lease, Pool, PoolKey, Unavailable
from keys.rules import Outcome, Verdict
from proxy.breaker import FAULTS, Breaker, Outage, upstream_of
from proxy.lender import SILENT_CONNECTIONS, Lender

NOW = 1_800_000_000.0
MODEL = "gemini-2.5-flash"


def pool_of(*kinds: str, most_at_once: int = 0) -> Pool:
    pool = Pool(MemoryLedger())
    keys = [
        PoolKey(id=number, secret=f"key-{number}", tail="", kind=kind, daily_limit=None, disabled=False)
        for number, kind in enumerate(kinds, 1)
    ]
    pool.replace(keys, (), daily_limit=100, revision=1, most_at_once=most_at_once)
    return pool


def lender_of(pool: Pool, breaker: Breaker, patience: float = 0.0) -> Lender:
    return Lender(pool, breaker, model=MODEL, request=1, patience=patience, now=lambda: NOW)


def break_off(breaker: Breaker, kind: str) -> None:
    for number in range(FAULTS):
        breaker.failed(upstream_of(kind), MODEL, Outcome.UNAVAILABLE, 0, request=number, key=number, now=NOW)


async def test_while_one_upstream_is_out_the_keys_of_the_other_serve() -> None:
    pool = pool_of(*["ai_studio"] * 6, "vertex_express")
    breaker = Breaker(pool.usable)
    break_off(breaker, "ai_studio")

    leases = [await lender_of(pool, breaker).lend(set(), may_wait=False) for _ in range(3)]

    assert [lease.key.kind for lease in leases if isinstance(lease, Lease)] == ["vertex_express"] * 3
    assert pool.in_flight == 3, "what was passed over is given back"


async def test_with_every_upstream_out_it_says_so_and_keeps_nothing() -> None:
    pool = pool_of("ai_studio", "vertex_express", "ai_studio")
    breaker = Breaker(pool.usable)
    break_off(breaker, "ai_studio")
    break_off(breaker, "vertex_express")

    refused = await lender_of(pool, breaker).lend(set(), may_wait=True)

    assert isinstance(refused, Outage)
    assert pool.in_flight == 0
    breaker.alive(upstream_of("ai_studio"), MODEL)
    breaker.alive(upstream_of("vertex_express"), MODEL)
    for _ in range(3 * 100):
        lease = await lender_of(pool, breaker).lend(set(), may_wait=False)
        assert isinstance(lease, Lease), "no day was used up by what was passed over"
        await pool.release(lease, refund=False, now=NOW)


async def fail(lender: Lender, pool: Pool, *, is_silent: bool) -> Lease:
    """Let one attempt fail for want of a connection; return the lease it had."""
    lease = await lender.lend(set(), may_wait=False)
    assert isinstance(lease, Lease)
    lender.failed(lease, Verdict(Outcome.UNAVAILABLE, 0, ""), is_silent=is_silent)
    await pool.release(lease, refund=True, now=NOW)
    return lease


async def test_an_upstream_that_is_silent_is_asked_three_times_by_one_request_then_the_other_one_serves() -> None:
    pool = pool_of(*["ai_studio"] * 6, "vertex_express")
    breaker = Breaker(pool.usable)
    lender = lender_of(pool, breaker)

    failed = [await fail(lender, pool, is_silent=True) for _ in range(SILENT_CONNECTIONS)]
    lease = await lender.lend(set(), may_wait=False)

    assert {one.key.kind for one in failed} == {"ai_studio"}
    assert isinstance(lease, Lease)
    assert lease.key.kind == "vertex_express"
    other = await lender_of(pool, breaker).lend(set(), may_wait=False)
    assert isinstance(other, Lease)
    assert other.key.kind == "ai_studio", "other requests find out for themselves"


async def test_when_all_are_silent_the_request_is_told_so() -> None:
    pool = pool_of("ai_studio", "ai_studio")
    lender = lender_of(pool, Breaker(pool.usable))
    for _ in range(SILENT_CONNECTIONS):
        await fail(lender, pool, is_silent=True)

    refused = await lender.lend(set(), may_wait=True)

    assert isinstance(refused, Outage)
    assert (refused.upstream, refused.model, refused.faults) == (upstream_of("ai_studio"), "", SILENT_CONNECTIONS)
    assert pool.in_flight == 0


async def test_an_upstream_that_refuses_connections_may_be_asked_as_often_as_the_settings_say() -> None:
    pool = pool_of("ai_studio", "ai_studio")
    lender = lender_of(pool, Breaker(pool.usable))
    for _ in range(FAULTS - 1):
        await fail(lender, pool, is_silent=False)

    assert isinstance(await lender.lend(set(), may_wait=False), Lease)


async def test_no_key_is_lent_beyond_its_share() -> None:
    pool = pool_of("ai_studio", "ai_studio", most_at_once=3)
    breaker = Breaker(pool.usable)

    lent = [await lender_of(pool, breaker).lend(set(), may_wait=False) for _ in range(7)]

    assert [lease.key.id for lease in lent if isinstance(lease, Lease)] == [1, 2, 1, 2, 1, 2]
    assert lent[6] == Unavailable("busy", None)


async def test_those_who_wait_are_served_as_keys_come_back() -> None:
    pool = pool_of("ai_studio", most_at_once=1)
    breaker = Breaker(pool.usable)
    at_once = itertools.count()
    most = 0

    async def serve() -> None:
        nonlocal most
        lease = await lender_of(pool, breaker, patience=30).lend(set(), may_wait=True)
        assert isinstance(lease, Lease)
        most = max(most, pool.in_flight)
        await asyncio.sleep(0)
        next(at_once)
        await pool.release(lease, refund=False, now=NOW)

    async with asyncio.timeout(20):
        await asyncio.gather(*(serve() for _ in range(50)))

    assert (most, next(at_once)) == (1, 50)


async def test_a_waiter_that_is_cancelled_holds_up_nobody() -> None:
    pool = pool_of("ai_studio", most_at_once=1)
    breaker = Breaker(pool.usable)
    held = await lender_of(pool, breaker).lend(set(), may_wait=False)
    assert isinstance(held, Lease)
    waiting = [asyncio.create_task(lender_of(pool, breaker, patience=30).lend(set(), may_wait=True)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)

    await pool.release(held, refund=False, now=NOW)

    async with asyncio.timeout(5):
        assert isinstance(await waiting[1], Lease)
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_without_patience_a_busy_pool_refuses_at_once() -> None:
    pool = pool_of("ai_studio", most_at_once=1)
    breaker = Breaker(pool.usable)
    await lender_of(pool, breaker).lend(set(), may_wait=False)

    assert await lender_of(pool, breaker).lend(set(), may_wait=True) == Unavailable("busy", None)
