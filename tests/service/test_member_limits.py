"""What a member has of its own: limits for models, parallel requests, models allowed and blocked, switches."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gemini import answer, blocked
from tests.service.houses import House, house
from tests.serving import chat, events_of

NAME = "Anna"


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("members"), RANDOM_STRING=False) as started:
        yield started


@pytest.fixture
def at(shared_house: House) -> Iterator[House]:
    """A house whose one member has no limits; what a test gives it is gone after it."""
    shared_house.clear()
    yield shared_house
    give(shared_house, dict.fromkeys(CLEAN) | {"allowed_models": "", "blocked_models": ""}, models=())


CLEAN = (
    *("requests_per_minute", "requests_per_day", "tokens_per_day", "parallel_requests"),
    *("fake_streaming", "random_string"),
)
SHARED = "(SELECT id FROM keys_member WHERE name = 'shared')"


def give(at: House, fields: dict[str, Any], models: tuple[dict[str, Any], ...] | None = None) -> None:
    """Change the member, as another process would, and wait until requests run with it."""
    statements: list[tuple[str, tuple[Any, ...]]] = [
        (f"UPDATE keys_member SET {name} = ? WHERE name = 'shared'", (value,)) for name, value in fields.items()
    ]
    if models is not None:
        statements.append((f"DELETE FROM keys_modellimit WHERE member_id = {SHARED}", ()))
    for row in models or ():
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        sql = f"INSERT INTO keys_modellimit (member_id, {names}) VALUES ({SHARED}, {marks})"
        statements.append((sql, tuple(row.values())))
    at.server.write(*statements, ("UPDATE proxy_revision SET number = number + 1", ()))
    time.sleep(1.3)


async def at_once(at: House, count: int, **fields: Any) -> list[httpx.Response]:
    async with at.server.async_client(limits=httpx.Limits(max_connections=count)) as client:
        body = chat(**fields)
        return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(count)))


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


async def test_forty_at_once_against_three_parallel_requests_get_three_answers(at: House) -> None:
    give(at, {"parallel_requests": 3})
    at.gemini.always(answer("pong", before=1))

    responses = await at_once(at, 40)

    assert statuses(responses) == {200: 3, 429: 37}
    refused = next(response for response in responses if response.status_code == 429)
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "shared" in error["message"]
    assert "running" in error["message"]
    assert "(3)" in error["message"]
    assert refused.headers["retry-after"] == "5"
    # All slots were given back: it works again and again.
    at.gemini.always(answer("pong"))
    assert [at.server.chat().status_code for _ in range(5)] == [200] * 5


async def test_a_slot_comes_back_whatever_becomes_of_its_request(at: House) -> None:
    give(at, {"parallel_requests": 1})

    at.gemini.replies(blocked())
    assert at.server.chat().status_code == 400
    at.gemini.always(answer("slow", before=30))
    async with at.server.async_client() as client:
        for stream in (False, True):
            hung_up = asyncio.create_task(client.post("/v1/chat/completions", json=chat(stream=stream)))
            await asyncio.sleep(0.5)
            assert (await client.post("/v1/chat/completions", json=chat())).status_code == 429
            hung_up.cancel()
            await asyncio.gather(hung_up, return_exceptions=True)
            await asyncio.sleep(0.5)
    at.gemini.always(answer("pong"))

    assert at.server.chat(stream=True).status_code == 200
    assert at.server.chat().status_code == 200


async def test_whoever_is_refused_for_its_parallel_requests_uses_up_nothing_else(at: House) -> None:
    give(at, {"parallel_requests": 1, "requests_per_day": 1000})
    at.gemini.always(answer("pong", before=0.5))

    responses = await at_once(at, 5)

    left = [int(one.headers["x-ratelimit-remaining-requests"]) for one in responses if one.status_code == 200]
    at.gemini.always(answer("pong"))
    assert statuses(responses) == {200: 1, 429: 4}
    assert int(at.server.chat().headers["x-ratelimit-remaining-requests"]) == left[0] - 1


async def test_limits_for_models_are_exact_and_leave_other_models_alone(at: House) -> None:
    give(at, {}, models=({"pattern": "Gemini-2.5-Pro*", "requests_per_minute": 4},))
    at.gemini.always(answer("pong", before=0.1))

    responses = await at_once(at, 20, model="gemini-2.5-pro")

    assert statuses(responses) == {200: 4, 429: 16}
    refused = next(response for response in responses if response.status_code == 429)
    assert "gemini-2.5-pro*" in refused.json()["error"]["message"]
    assert "4 requests of this minute" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 60
    for alias in ("models/gemini-2.5-pro", "koboldcpp/GEMINI-2.5-PRO", "gemini-2.5-pro-thinking-low"):
        assert at.server.chat(model=alias).status_code == 429
    with at.server.client() as client:
        native = client.post(
            "/v1beta/models/gemini-2.5-pro:generateContent", json={"contents": [{"parts": [{"text": "hi"}]}]}
        )
    assert (native.status_code, native.json()["error"]["code"]) == (429, 429)
    assert at.server.chat(model="gemini-2.5-flash").status_code == 200

    at.server.kill()
    at.server.start()
    assert at.server.chat(model="gemini-2.5-pro").status_code == 429
    assert at.server.chat(model="gemini-2.5-flash").status_code == 200


async def test_a_new_limit_for_the_day_counts_what_was_used_before_it(at: House) -> None:
    used = [at.server.chat(model="gemini-2.5-flash-lite").status_code for _ in range(3)]

    give(at, {}, models=({"pattern": "gemini-2.5-flash-lite", "requests_per_day": 4},))
    answers = [at.server.chat(model="gemini-2.5-flash-lite") for _ in range(2)]

    assert used == [200] * 3
    assert [one.status_code for one in answers] == [200, 429]
    assert "4 requests of today for gemini-2.5-flash-lite" in answers[1].json()["error"]["message"]
    at.server.kill()
    at.server.start()
    assert at.server.chat(model="gemini-2.5-flash-lite").status_code == 429


async def test_tokens_for_models_stop_the_next_request(at: House) -> None:
    give(at, {}, models=({"pattern": "gemini-2.0-*", "tokens_per_day": 1},))

    answers = [at.server.chat(model="gemini-2.0-flash") for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 429]
    assert "tokens of today for gemini-2.0-*" in answers[1].json()["error"]["message"]


LISTS = (
    ("/v1/models", {}, "data", "id"),
    ("/v1beta/models", {}, "models", "name"),
    ("/v1/models", {"anthropic-version": "2023-06-01"}, "data", "id"),
)


def listed(at: House) -> list[set[str]]:
    with at.server.client() as client:
        answers = [(client.get(path, headers=headers).json(), key, name) for path, headers, key, name in LISTS]
    return [{row[name].removeprefix("models/") for row in document[key]} for document, key, name in answers]


def refusals(at: House, model: str) -> list[tuple[int, str]]:
    bodies = {
        "/v1/chat/completions": chat(model=model),
        "/v1/messages": chat(model=model, max_tokens=5),
        "/v1/responses": {"model": model, "input": "hi"},
        "/v1/embeddings": {"model": model, "input": "hi"},
        "/v1/images/generations": {"model": model, "prompt": "hi"},
        f"/v1beta/models/{model}:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
        f"/v1beta/models/{model}:streamGenerateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
        f"/v1beta/models/{model}:countTokens": {"contents": [{"parts": [{"text": "hi"}]}]},
    }
    with at.server.client() as client:
        answers = [client.post(path, json=body) for path, body in bodies.items()]
        answers += [client.get(f"{path}/{model}") for path in ("/v1/models", "/v1beta/models")]
    return [(one.status_code, one.text) for one in answers]


def test_models_blocked_for_a_member_are_neither_listed_nor_served_on_any_path(at: House) -> None:
    before = listed(at)
    give(at, {"blocked_models": "gemini-2.5-pro, GEMMA-*"})

    for had, has in zip(before, listed(at), strict=True):
        gone = had - has
        assert "gemini-2.5-pro" in gone
        assert all(name == "gemini-2.5-pro" or name.startswith("gemma-") for name in gone)
    for model in ("gemini-2.5-pro", "models/Gemini-2.5-Pro", "koboldcpp/gemini-2.5-pro", "gemini-2.5-pro-thinking-low"):
        assert {status for status, _ in refusals(at, model)} == {404}, model
    assert "model_not_found" in refusals(at, "gemini-2.5-pro")[0][1]
    assert at.gemini.generated == []
    assert at.server.chat(model="gemini-2.5-flash").status_code == 200


def test_only_models_allowed_to_a_member_are_listed_and_served(at: House) -> None:
    give(at, {"allowed_models": "gemini-2.5-flash gemini-2.5-flash-lite"})

    assert listed(at) == [{"gemini-2.5-flash", "gemini-2.5-flash-lite"}] * 3
    assert {status for status, _ in refusals(at, "gemini-2.5-pro")} == {404}
    assert at.gemini.generated == []
    assert at.server.chat(model="Gemini-2.5-Flash").status_code == 200


def test_a_member_may_have_its_own_way_of_streaming_and_random_string(at: House) -> None:
    give(at, {"fake_streaming": False, "random_string": True})

    whole = at.server.chat("hello there", stream=True)

    [call] = at.gemini.generated
    assert call.path.endswith(":streamGenerateContent")
    assert events_of(whole.text)[-1] == "[DONE]"
    [turn] = call.body["contents"]
    assert [len(part["text"]) for part in turn["parts"]] == [5, len("hello there")]
