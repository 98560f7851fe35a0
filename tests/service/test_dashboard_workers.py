"""Many processes, one dashboard: whoever watches sees what all of them do."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx

from tests.gemini import FakeGemini, answer
from tests.redises import ON_REDIS
from tests.service.houses import House
from tests.service.test_dashboard import SOCKET, admin, next_snapshot
from tests.service.test_workers import Start, start
from tests.serving import chat

__all__ = ["start"]

COUNT = 20


@ON_REDIS
async def test_each_viewer_sees_the_answers_of_all_processes(gemini: FakeGemini, start: Start) -> None:
    server = start(WORKERS=2, FAKE_STREAMING="false")
    gemini.always(answer("pong", held=True))
    here = House(gemini, server)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(server.async_client(limits=httpx.Limits(max_connections=COUNT)))
        asked = [asyncio.create_task(client.post("/v1/chat/completions", json=chat())) for _ in range(COUNT)]
        await gemini.until(lambda: len(gemini.generated) == COUNT, seconds=30)
        # Each viewer is a connection of its own, and lands at either process.
        for _ in range(4):
            browser = await stack.enter_async_context(admin(here))
            socket = await stack.enter_async_context(browser.ws_connect(SOCKET))
            seen = await next_snapshot(socket, lambda snapshot: snapshot["processes"] == 2)
            assert (seen["in_flight"], len(seen["running"])) == (COUNT, COUNT)
        gemini.release()
        await asyncio.gather(*asked)
        over = await next_snapshot(socket, lambda snapshot: snapshot["in_flight"] == 0)

    assert sum(over["minutes"]["answered"]) == COUNT
