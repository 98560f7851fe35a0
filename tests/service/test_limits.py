"""Limits are exact however many requests come at once, and a restart resets none."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.gemini import FakeGemini, answer, blocked
from tests.service.houses import House, house, keys
from tests.serving import Server, chat

Serve = Callable[..., Server]


async def at_once(server: Server, count: int, **fields: object) -> list[httpx.Response]:
    """Send that many chats in parallel."""
    async with server.async_client(limits=httpx.Limits(max_connections=count)) as client:
        body = chat(**fields)  # type: ignore[arg-type]
        return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(count)))


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


async def test_sixty_at_once_against_ten_a_minute_reach_upstream_ten_times(gemini: FakeGemini, serve: Serve) -> None:
    gemini.always(answer("pong", before=0.1))
    server = serve(MAX_REQUESTS_PER_MINUTE=10)
    began = time.monotonic()

    responses = await at_once(server, 60)

    assert statuses(responses) == {200: 10, 429: 50}
    assert len(gemini.generated) == 10
    for refused in (response for response in responses if response.status_code == 429):
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "10 requests" in error["message"]
        assert "shared" in error["message"]
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert 60 - (time.monotonic() - began) - 1 <= int(refused.headers["retry-after"]) <= 60

    server.kill()
    server.start()
    assert statuses(await at_once(server, 5)) == {429: 5}
    assert len(gemini.generated) == 10


def test_the_addresses_of_one_ipv6_network_share_a_day_over_a_restart_too(gemini: FakeGemini, serve: Serve) -> None:
    server = serve(MAX_REQUESTS_PER_DAY_PER_IP=2, TRUSTED_PROXIES="127.0.0.1")

    def ask(address: str) -> int:
        with server.client() as client:
            return client.post("/v1/chat/completions", json=chat(), headers={"x-forwarded-for": address}).status_code

    assert [ask(f"2001:db8:1:2::{number}") for number in range(1, 4)] == [200, 200, 429]
    assert ask("2001:db8:1:3::1") == 200

    server.restart()
    assert ask("2001:db8:1:2::4") == 429
    logged = server.rows("SELECT address FROM proxy_requestlog WHERE status = 200 ORDER BY id")
    assert [row["address"] for row in logged] == ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1"]


async def test_n_answers_count_n(gemini: FakeGemini, serve: Serve) -> None:
    server = serve(MAX_REQUESTS_PER_MINUTE=5)

    responses = [server.chat(n=2) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["x-ratelimit-remaining-requests"] == "3"
    assert server.chat().status_code == 200
    assert len(gemini.generated) == 5


async def test_the_day_of_an_address_counts_only_requests_that_were_answered(gemini: FakeGemini, serve: Serve) -> None:
    server = serve(MAX_REQUESTS_PER_DAY_PER_IP=4)
    gemini.replies(*[blocked()] * 3)
    assert statuses(await at_once(server, 3)) == {400: 3}

    responses = await at_once(server, 12)

    assert statuses(responses) == {200: 4, 429: 8}
    assert len(gemini.generated) == 3 + 4
    server.kill()
    server.start()
    refused = server.chat()
    assert refused.status_code == 429
    assert "today" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_the_daily_limit_of_keys_is_hard(tmp_path: Path) -> None:
    with house(tmp_path, GEMINI_API_KEYS=keys(3), API_KEY_DAILY_LIMIT=2, RANDOM_STRING=False) as started:
        gemini, server = started.gemini, started.server
        gemini.replies(500)
        gemini.always(answer("pong", before=0.05))

        responses = await at_once(server, 20)

        assert statuses(responses) == {200: 6, 429: 14}
        # The attempt that Google refused was given back.
        assert len(gemini.generated) == 7
        answered = Counter(call.key for call in gemini.generated if call.status == 200)
        assert answered == dict.fromkeys(keys(3), 2)
        _check_exhausted(started, responses)
        server.kill()
        server.start()
        assert server.chat().status_code == 429
        assert len(gemini.generated) == 7


def _check_exhausted(started: House, responses: list[httpx.Response]) -> None:
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.json()["error"]["code"] == "keys_resting"
    assert 0 < int(refused.headers["retry-after"]) <= 90_000
    assert started.log(refused.headers["x-request-id"])["status"] == 429
