"""An upstream that is out for everybody: said at once, tried now and then, and over as soon as it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gemini import answer, error, reset
from tests.service.houses import House, house, keys
from tests.serving import chat

CLIENTS = 30
ATTEMPTS = 15


@pytest.fixture
def started(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, GEMINI_API_KEYS=keys(20), MAX_ATTEMPTS=ATTEMPTS, HEADERS_HOLD_SECONDS=5) as running:
        yield running


async def ask_all(house: House, count: int, **fields: object) -> list[httpx.Response]:
    async with house.server.async_client() as client:
        return await asyncio.gather(*(client.post("/v1/chat/completions", json=chat(**fields)) for _ in range(count)))


@pytest.mark.parametrize("fault", [reset(), 503])
async def test_an_outage_costs_each_client_little_and_is_named(started: House, fault: object) -> None:
    started.gemini.always(fault)

    told = await ask_all(started, CLIENTS)

    assert {response.status_code for response in told} == {503}
    assert len(started.gemini.generated) < CLIENTS * ATTEMPTS / 4
    asked = len(started.gemini.generated)
    began = time.monotonic()
    later = await ask_all(started, CLIENTS)
    assert time.monotonic() - began < 2
    # One of them at the most was let through.
    assert len(started.gemini.generated) - asked <= 2
    for response in later:
        document = response.json()["error"]
        assert (response.status_code, document["code"]) == (503, "upstream_out")
        assert "The Gemini API is out" in document["message"]
        assert 1 <= int(response.headers["retry-after"]) <= 30
    row = started.log(later[-1].headers["x-request-id"])
    assert (row["outcome"], row["attempt_count"]) == ("unavailable", 0)


async def test_it_is_over_with_the_first_answer(started: House) -> None:
    started.gemini.always(reset())
    await ask_all(started, CLIENTS)
    started.gemini.always(answer("pong"))

    async with asyncio.timeout(15):
        while (told := (await ask_all(started, 1))[0]).status_code != 200:
            assert told.json()["error"]["code"] == "upstream_out"
            await asyncio.sleep(float(told.headers["retry-after"]))
    told_all = await ask_all(started, CLIENTS)

    assert {response.status_code for response in told_all} == {200}


async def test_other_models_go_on_while_one_is_out(started: House) -> None:
    started.gemini.always(503, model="gemini-2.5-pro")
    await ask_all(started, CLIENTS, model="gemini-2.5-pro")

    [refused] = await ask_all(started, 1, model="gemini-2.5-pro")
    [answered] = await ask_all(started, 1, model="gemini-2.5-flash")

    assert refused.json()["error"]["code"] == "upstream_out"
    assert "gemini-2.5-pro" in refused.json()["error"]["message"]
    assert answered.status_code == 200


@pytest.mark.parametrize("kind", ["bad_request", "exhausted"])
async def test_bad_requests_and_tired_keys_are_no_outage(started: House, kind: str) -> None:
    started.gemini.always(error(kind))

    told = await ask_all(started, CLIENTS)

    assert "upstream_out" not in {response.json()["error"]["code"] for response in told}


async def test_one_key_in_trouble_is_no_outage(started: House) -> None:
    started.gemini.always(503, key=keys(20)[0])

    told = [*await ask_all(started, CLIENTS), *await ask_all(started, CLIENTS)]

    assert {response.status_code for response in told} == {200}
