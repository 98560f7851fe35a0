"""Acknowledged means recorded: kill -9 under load loses no request a client has its answer of."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from proxy import request_id
from tests.databases import BACKENDS, fresh_postgres_url
from tests.gemini import FakeGemini, answer
from tests.serving import Server, chat

ROUNDS = 3
CHATS_OF_A_ROUND = 100
AT_ONCE = 12
# The server is killed when this many clients of a round have their whole answer.
ACKNOWLEDGED_BEFORE_KILL = 50


@dataclass
class Load:
    """Clients that chat, and the ids of the requests whose answer they have whole."""

    server: Server
    kill_after: int | None
    acknowledged: list[str] = field(default_factory=list)
    cut: int = 0

    async def run(self) -> None:
        numbers = iter(range(CHATS_OF_A_ROUND))
        async with self.server.async_client() as client:
            await asyncio.gather(*(self._one_after_another(client, numbers) for _ in range(AT_ONCE)))

    async def _one_after_another(self, client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                await (self._streamed if number % 2 else self._whole)(client)
            except httpx.TransportError:
                self.cut += 1
            if len(self.acknowledged) == self.kill_after:
                self.server.kill()

    async def _whole(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/chat/completions", json=chat())
        assert response.json()["choices"][0]["message"]["content"] == "one two three"
        self.acknowledged.append(response.headers["x-request-id"])

    async def _streamed(self, client: httpx.AsyncClient) -> None:
        async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as response:
            text = (await response.aread()).decode()
        assert text.endswith("data: [DONE]\n\n")
        self.acknowledged.append(response.headers["x-request-id"])


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The DATABASE_URL of a database of the test's own, "" for SQLite."""
    return fresh_postgres_url(migrated=False) if request.param == "postgres" else ""


async def test_no_acknowledged_request_is_lost_and_no_usage_is_doubled(
    gemini: FakeGemini, serve: Callable[..., Server], database_url: str
) -> None:
    gemini.always(answer("one two three", delay=0.004))
    server = serve(FAKE_STREAMING=False, DATABASE_URL=database_url)
    loads = []

    for kill_after in itertools.repeat(ACKNOWLEDGED_BEFORE_KILL, ROUNDS):
        load = Load(server, kill_after)
        await load.run()
        assert load.cut, "the kill came too late to matter"
        loads.append(load)
        server.start()
    last = Load(server, kill_after=None)
    await last.run()

    acknowledged = {request_id.parse(shown) for load in [*loads, last] for shown in load.acknowledged}
    assert len(acknowledged) >= ROUNDS * ACKNOWLEDGED_BEFORE_KILL + CHATS_OF_A_ROUND
    logged = {row["id"]: row for row in server.rows("SELECT * FROM proxy_requestlog")}
    assert acknowledged <= set(logged)
    assert {logged[number]["outcome"] for number in acknowledged} == {"answered"}
    check_usage(server)


def check_usage(server: Server) -> None:
    """Check that every total of usage is the sum of the log rows it came from."""
    [log] = server.rows(
        "SELECT count(*) requests, sum(prompt_tokens) prompt_tokens, sum(completion_tokens) completion_tokens"
        " FROM proxy_requestlog WHERE outcome IN ('answered', 'partial')"
    )
    usage = {
        row.pop("kind"): row
        for row in server.rows(
            "SELECT kind, sum(requests) requests, sum(prompt_tokens) prompt_tokens,"
            " sum(completion_tokens) completion_tokens FROM keys_usage GROUP BY kind"
        )
    }
    [attempts] = server.rows("SELECT count(*) count FROM proxy_attempt WHERE outcome = 'answered'")
    assert usage["member"] == log
    assert usage["address"] == log
    assert usage["key"] == log
    assert attempts["count"] == log["requests"]
