"""PostgreSQL under many open streams: a stream holds no connection while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from tests.databases import ON_POSTGRES, fresh_postgres_url, postgres_rows
from tests.gemini import FakeGemini, answer
from tests.serving import Server, chat

STREAMS = 200
CONNECTIONS = 10

pytestmark = ON_POSTGRES


def test_two_hundred_streams_run_on_ten_connections_and_hold_none(
    gemini: FakeGemini, serve: Callable[..., Server]
) -> None:
    url = fresh_postgres_url(migrated=False)
    # The pool's own size, which POSTGRES_OPTIONS sets, is what this is about.
    server = serve(DATABASE_URL=url, FAKE_STREAMING=False, HEARTBEAT_SECONDS=0.5, MAX_PARALLEL_REQUESTS_PER_IP=0)
    gemini.always(answer("one two three", held=True))

    texts, busy = asyncio.run(_streams(server, gemini, url))

    assert len(texts) == STREAMS
    assert all(text.endswith("data: [DONE]\n\n") and "error" not in text for text in texts)
    assert busy["held"] == 0, "a stream that waits for Google holds no connection"
    assert busy["open"] <= CONNECTIONS
    [logged] = server.rows("SELECT count(*) number FROM proxy_requestlog WHERE outcome = 'answered'")
    assert logged["number"] == STREAMS


async def _streams(server: Server, gemini: FakeGemini, url: str) -> tuple[list[str], dict[str, int]]:
    """Run all streams at once; look at the database's connections while each waits for Google."""
    limits = httpx.Limits(max_connections=STREAMS + 1)
    async with server.async_client(limits=limits, timeout=60) as client:
        streams = [asyncio.create_task(_stream(client)) for _ in range(STREAMS)]
        await gemini.until(lambda: len(gemini.generated) == STREAMS, 60)
        await asyncio.sleep(1.5)
        busy = await asyncio.to_thread(_connections, url)
        # The database answers others meanwhile.
        page = await client.get("/admin/login/")
        assert page.status_code == 200
        gemini.release()
        return await asyncio.gather(*streams), busy


async def _stream(client: httpx.AsyncClient) -> str:
    async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as response:
        return (await response.aread()).decode()


def _connections(url: str) -> dict[str, int]:
    [found] = postgres_rows(
        url,
        "SELECT count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS held FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    return found
