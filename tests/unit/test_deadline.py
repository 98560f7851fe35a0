"""A deadline ends waits, and nothing but waits."""

from __future__ import annotations

import asyncio
import time

import pytest

from proxy.deadline import Deadline


async def after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def deadline_in(seconds: float) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + seconds)


async def waited(deadline: Deadline, seconds: float) -> str:
    with deadline:
        return await after(seconds)


async def test_a_wait_that_ends_in_time_returns_its_value() -> None:
    deadline = deadline_in(5)

    assert await waited(deadline, 0) == "done"
    assert await waited(deadline, 0.01) == "done"
    deadline.clear()


async def test_a_wait_that_takes_too_long_is_a_timeout_and_leaves_the_task_uncancelled() -> None:
    deadline = deadline_in(0.01)

    with pytest.raises(TimeoutError):
        await waited(deadline, 5)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_after_the_deadline_no_wait_begins() -> None:
    deadline = deadline_in(0)
    await asyncio.sleep(0.01)
    begun: list[str] = []

    with pytest.raises(TimeoutError), deadline:
        begun.append("begun")

    assert begun == []


async def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    deadline = deadline_in(5)
    task = asyncio.create_task(waited(deadline, 5))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    deadline.clear()


async def test_of_a_cancellation_and_a_deadline_at_once_the_cancellation_wins() -> None:
    deadline = deadline_in(0.01)
    task = asyncio.create_task(waited(deadline, 5))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 0.01, task.cancel)
    # The loop sleeps past both moments, so that it finds both at once.
    time.sleep(0.1)

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_between_waits_the_deadline_touches_nobody() -> None:
    deadline = deadline_in(0.01)
    await waited(deadline, 0)

    assert await after(0.03) == "done"
    deadline.clear()


async def test_a_deadline_can_be_brought_nearer_but_not_put_off() -> None:
    loop = asyncio.get_running_loop()
    far, near = Deadline(loop.time() + 60), Deadline(loop.time() + 0.01)
    far.within(0.01)
    near.within(60)

    for deadline in (far, near):
        with pytest.raises(TimeoutError), deadline:
            await asyncio.sleep(30)
