"""The stock openai SDK's responses, as people use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.gemini import answer, blocked, reset, withheld
from tests.service.houses import House, house, keys

MODEL = "gemini-2.5-flash"
TEXT = "Zwölf Boxkämpfer jagen Viktor.\n\nÜber den großen Sylter Deich 🥊"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
SIGNATURE = "c2lnbmF0dXJl"
CALL = {"functionCall": {"name": "weather", "args": {"city": "Ulm"}, "id": "call1"}, "thoughtSignature": SIGNATURE}


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 3, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1, "HEARTBEAT_SECONDS": 0.1}
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(3), **environment) as started:
        yield started


@pytest.fixture(scope="module")
def passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("passing-on"), FAKE_STREAMING=False, HEARTBEAT_SECONDS=0.1) as started:
        yield started


@pytest.fixture
def stage(collecting: House) -> House:
    return collecting.clear()


@pytest.fixture(params=["collecting", "passing_on"])
def either(request: pytest.FixtureRequest) -> House:
    """A house that collects streamed answers first, and one that passes them on."""
    return request.getfixturevalue(request.param).clear()


def client_of(house: House) -> OpenAI:
    http = openai.DefaultHttpxClient(trust_env=False)
    return OpenAI(base_url=f"{house.server.base_url}/v1", api_key=house.server.password, http_client=http, timeout=20)


@pytest.fixture
def client(stage: House) -> Iterator[OpenAI]:
    with client_of(stage) as client:
        yield client


@pytest.fixture
def either_client(either: House) -> Iterator[OpenAI]:
    with client_of(either) as client:
        yield client


@pytest.fixture
async def async_client(either: House) -> AsyncIterator[AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(
        base_url=f"{either.server.base_url}/v1", api_key=either.server.password, http_client=http
    ) as client:
        yield client


def test_it_answers(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(answer(TEXT))

    response = client.responses.create(model=MODEL, input="Say it.", instructions="Be kind.")

    assert response.output_text == TEXT
    assert (response.status, response.model, response.instructions) == ("completed", MODEL, "Be kind.")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    [body] = stage.gemini.bodies
    assert body["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert stage.log(response._request_id or "")["dialect"] == "responses"


def test_it_streams(either: House, either_client: OpenAI) -> None:
    either.gemini.replies(answer(TEXT, chunks=7, delay=0.02))

    with either_client.responses.stream(model=MODEL, input="Say it.") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()

    assert text == final.output_text == TEXT
    assert final.usage is not None
    assert final.usage.output_tokens


def test_a_stream_says_the_same_as_a_whole_answer(either: House, either_client: OpenAI) -> None:
    either.gemini.always(answer(TEXT, thoughts="Six times seven.\n\nThat is it.", chunks=3))
    asked: Any = {"model": MODEL, "input": "Say it.", "reasoning": {"effort": "low", "summary": "auto"}}
    whole = either_client.responses.create(**asked)

    *_, last = either_client.responses.create(stream=True, **asked)

    assert last.type == "response.completed"
    assert [item.type for item in whole.output] == ["reasoning", "message"]
    assert whole.output[0].to_dict()["summary"] == [{"type": "summary_text", "text": "Six times seven.\n\nThat is it."}]
    assert last.response.output_text == whole.output_text
    assert last.response.usage == whole.usage


async def test_it_streams_asynchronously(either: House, async_client: AsyncOpenAI) -> None:
    either.gemini.replies(answer(TEXT, chunks=5))

    stream = await async_client.responses.create(model=MODEL, input="Say it.", stream=True)

    pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(pieces) == TEXT


@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
def test_a_tool_loop_brings_the_signature_back(either: House, either_client: OpenAI, include: Any) -> None:
    model = "gemini-3-flash-preview"
    either.gemini.replies(answer("", parts=(CALL,)), answer("It rains."))
    asked: Any = {"model": model, "tools": [WEATHER], "store": False, "include": include}
    with either_client.responses.stream(input="Weather?", **asked) as stream:
        called = stream.get_final_response()
    call = called.output[-1]
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("weather", '{"city":"Ulm"}')
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}

    response = either_client.responses.create(
        input=[{"role": "user", "content": "Weather?"}, *called.output, result],  # type: ignore[list-item]
        **asked,
    )

    assert response.output_text == "It rains."
    _user, spoken, told = either.gemini.bodies[-1]["contents"]
    [part] = [part for part in spoken["parts"] if "functionCall" in part]
    assert told["parts"][0]["functionResponse"]["response"] == {"result": "rain"}
    assert part["thoughtSignature"] == SIGNATURE


def test_the_sdk_parses_an_answer_of_a_given_shape(stage: House, client: OpenAI) -> None:
    class Sum(BaseModel):
        total: int

    stage.gemini.replies(answer('{"total": 42}'))

    response = client.responses.parse(model=MODEL, input="6 times 7?", text_format=Sum)

    assert response.output_parsed == Sum(total=42)
    [body] = stage.gemini.bodies
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["generationConfig"]["responseJsonSchema"]["properties"]["total"]["type"] == "integer"


def test_a_conversation_must_be_sent_whole(stage: House, client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="Hi", previous_response_id="resp_1")

    assert caught.value.param == "previous_response_id"
    assert "nothing is stored here" in caught.value.message
    assert stage.gemini.bodies == []


def test_a_blocked_prompt_is_refused(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(blocked("PROHIBITED_CONTENT"))

    with pytest.raises(openai.BadRequestError, match="PROHIBITED_CONTENT") as caught:
        client.responses.create(model=MODEL, input="Hi")

    assert caught.value.code == "content_filter"


def test_an_answer_withheld_halfway_is_incomplete(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(withheld("SAFETY", "Once upon"))

    response = client.responses.create(model=MODEL, input="Hi")

    assert response.output_text == "Once upon"
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "content_filter"


def test_a_stream_that_breaks_off_ends_failed(passing_on: House) -> None:
    passing_on.clear().gemini.replies(answer(TEXT, chunks=5, delay=0.02, fault=reset(2)))

    with client_of(passing_on) as client:
        *events, last = client.responses.create(model=MODEL, input="Hi", stream=True)

    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "broke off" in last.response.error.message
    heard = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert heard
    assert TEXT.startswith(heard)


def test_heartbeats_are_comments(stage: House) -> None:
    stage.gemini.replies(answer("pong", before=1.6))

    with stage.server.client() as client:
        data = client.post("/v1/responses", json={"model": MODEL, "input": "Hi", "stream": True}).text

    assert data.startswith(": ")
    assert "event: response.completed" in data
