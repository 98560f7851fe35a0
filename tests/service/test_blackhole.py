"""Google's address says nothing at all: connections are given up in bounded time, and told as what they are."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from proxy.upstream.client import CONNECT_SECONDS
from tests.blackhole import Blackhole
from tests.gemini import FakeGemini, answer
from tests.service.houses import keys
from tests.serving import Server, chat

EXPRESS = "AQ.ExpressKeyOfTheSimulator---------1"
# For a busy machine.
LEAVE = 5.0


@pytest.fixture
def blackhole() -> Iterator[Blackhole]:
    with Blackhole() as hole:
        yield hole


@pytest.fixture
def behind(blackhole: Blackhole, tmp_path: Path) -> Iterator[Server]:
    """A hajimi whose Gemini is a black hole; a test starts it."""
    server = Server(tmp_path / "data", {"GEMINI_BASE_URL": blackhole.url, "GEMINI_API_KEYS": keys(20)})
    yield server
    server.kill()


def test_one_client_alone_is_told_after_three_connections(behind: Server) -> None:
    behind.start()
    began = time.monotonic()

    with behind.client(timeout=60) as client:
        told = client.post("/v1/chat/completions", json=chat())

    # Fifteen attempts may be made, but none of them would have got further.
    assert time.monotonic() - began < 3 * CONNECT_SECONDS + LEAVE
    assert (told.status_code, told.json()["error"]["code"]) == (503, "upstream_out")
    assert "none of the last 3 attempts was answered" in told.json()["error"]["message"]
    assert int(told.headers["retry-after"]) >= 1
    rows = behind.rows("SELECT outcome, status FROM proxy_attempt")
    assert [(row["outcome"], row["status"]) for row in rows] == [("unavailable", None)] * 3
    # Nobody is to blame, and nothing is counted.
    assert behind.rows("SELECT * FROM keys_usage") == []
    assert behind.rows("SELECT * FROM keys_park") == []
    assert behind.rows("SELECT * FROM keys_key WHERE disabled_by <> ''") == []


async def test_many_clients_find_out_for_all_who_come_later(behind: Server) -> None:
    behind.changes |= {"UPSTREAM_TIMEOUT_SECONDS": 1, "HEADERS_HOLD_SECONDS": 2}
    behind.start()

    async def ask(count: int) -> list[httpx.Response]:
        async with behind.async_client() as client:
            return await asyncio.gather(*(client.post("/v1/chat/completions", json=chat()) for _ in range(count)))

    first = await ask(25)
    began = time.monotonic()
    later = await ask(25)

    assert {one.status_code for one in first} == {503}
    assert {(one.status_code, one.json()["error"]["code"]) for one in later} == {(503, "upstream_out")}
    assert time.monotonic() - began < LEAVE
    asked = behind.rows("SELECT count(*) number FROM proxy_attempt")[0]["number"]
    # One of those who came later may have been let through.
    assert asked <= 26


def test_a_client_who_waits_is_answered_when_the_line_comes_back(blackhole: Blackhole, behind: Server) -> None:
    behind.start()
    told: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: told.append(behind.chat()))
    asking.start()
    time.sleep(0.5)

    blackhole.close()
    with FakeGemini(port=blackhole.port) as gemini:
        gemini.always(answer("pong"))
        asking.join(30)

    [one] = told
    assert (one.status_code, one.json()["choices"][0]["message"]["content"]) == (200, "pong")


def test_a_key_that_leads_elsewhere_answers_meanwhile(behind: Server, gemini: FakeGemini) -> None:
    gemini.always(answer("pong"))
    vertex = {"ENABLE_VERTEX": True, "VERTEX_BASE_URL": gemini.url, "VERTEX_EXPRESS_API_KEY": EXPRESS}
    behind.changes |= {"GEMINI_API_KEYS": keys(1), **vertex}
    behind.start()

    told = [behind.chat() for _ in range(2)]

    assert [one.status_code for one in told] == [200, 200]
    rows = behind.rows("SELECT outcome FROM proxy_attempt ORDER BY request_id, number")
    assert [row["outcome"] for row in rows].count("answered") == 2
    assert [row["outcome"] for row in rows].count("unavailable") >= 1
