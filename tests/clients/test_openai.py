"""The stock openai SDK with functions and structured output, whole and streamed, plain and async."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

from tests.gemini import answer
from tests.service.houses import House
from tests.service.sdk import client_of

MODEL = "gemini-3-flash-preview"
ASK: Any = [{"role": "user", "content": "What is the weather in Oslo and in Rome?"}]
CITIES = ({"city": "Oslo"}, {"city": "Rome"})


class Weather(BaseModel):
    """Tell the weather of a city."""

    city: str
    unit: str | None = Field(None, description="celsius or fahrenheit")


class Step(BaseModel):
    explanation: str
    result: float | None


class Solution(BaseModel):
    steps: list[Step]
    answer: int


SOLUTION = {"steps": [{"explanation": "Six times seven", "result": 42.0}], "answer": 42}
TOOLS: Any = [openai.pydantic_function_tool(Weather, name="weather")]


@pytest.fixture
def client(either: House) -> Iterator[OpenAI]:
    with client_of(either) as client:
        yield client


@pytest.fixture
async def async_client(either: House) -> AsyncIterator[AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    url, key = f"{either.server.base_url}/v1", either.server.password
    async with AsyncOpenAI(base_url=url, api_key=key, http_client=http, max_retries=0) as client:
        yield client


def call_twice(house: House, text: str = "") -> None:
    """Let Gemini say ``text`` and call the function for both cities."""
    parts = [{"functionCall": {"name": "weather", "args": args}} for args in CITIES]
    parts[0]["thoughtSignature"] = "c2lnbmVk"  # type: ignore[assignment]
    house.gemini.replies(answer(text, parts=tuple(parts)))


def gathered(chunks: list[Any]) -> dict[int, dict[str, str]]:
    """Gather the calls of a stream by their indices."""
    calls: dict[int, dict[str, str]] = {}
    for delta in [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]:
        call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
        call["id"] += delta.id or ""
        call["name"] += delta.function.name or ""
        call["arguments"] += delta.function.arguments or ""
    return calls


def test_parallel_calls_come_whole(either: House, client: OpenAI) -> None:
    call_twice(either, "Let me look.")

    [choice] = client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS).choices

    calls: Any = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me look."
    assert [(call.type, call.function.name) for call in calls] == [("function", "weather")] * 2
    assert [json.loads(call.function.arguments) for call in calls] == [*CITIES]
    assert len({call.id for call in calls}) == 2
    [declared] = either.gemini.bodies[0]["tools"][0]["functionDeclarations"]
    assert declared["name"] == "weather"
    assert declared["description"] == "Tell the weather of a city."


def test_parallel_calls_are_streamed_each_under_its_index(either: House, client: OpenAI) -> None:
    call_twice(either, "Let me look.")

    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, stream=True))

    calls = gathered(chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Let me look."
    assert sorted(calls) == [0, 1]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls.values()] == [
        ("weather", args) for args in CITIES
    ]
    assert len({call["id"] for call in calls.values()}) == 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_sdks_stream_helper_parses_the_arguments(either: House, client: OpenAI) -> None:
    call_twice(either)

    with client.chat.completions.stream(model=MODEL, messages=ASK, tools=TOOLS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        [choice] = stream.get_final_completion().choices

    assert [event.parsed_arguments for event in done] == [Weather(city="Oslo"), Weather(city="Rome")]
    calls: Any = choice.message.tool_calls
    assert [call.function.parsed_arguments for call in calls] == [Weather(city="Oslo"), Weather(city="Rome")]


def test_results_go_back_as_the_sdks_guide_says(either: House, client: OpenAI) -> None:
    call_twice(either)
    message = client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"degrees": number})}
        for number, call in enumerate(message.tool_calls or ())
    ]
    either.gemini.replies("Cold and warm.")

    last = client.chat.completions.create(model=MODEL, messages=[*ASK, message, *results], tools=TOOLS)

    assert last.choices[0].message.content == "Cold and warm."
    _user, called, answered = either.gemini.bodies[-1]["contents"]
    assert [part["functionCall"]["args"] for part in called["parts"]] == [*CITIES]
    assert [part.get("thoughtSignature") for part in called["parts"]] == ["c2lnbmVk", None]
    assert [part["functionResponse"]["response"] for part in answered["parts"]] == [{"degrees": 0}, {"degrees": 1}]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        # Functions made from models are strict.
        ("auto", {"mode": "VALIDATED"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
    ],
    ids=["auto", "none", "required", "named"],
)
def test_a_tool_choice_reaches_gemini(either: House, client: OpenAI, choice: Any, config: dict[str, Any]) -> None:
    client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, tool_choice=choice)

    sent = either.gemini.bodies[0].get("toolConfig", {}).get("functionCallingConfig")
    assert sent == config


def test_an_answer_is_parsed_into_a_model(either: House, client: OpenAI) -> None:
    either.gemini.replies(json.dumps(SOLUTION))

    completion = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Solution)

    assert completion.choices[0].message.parsed == Solution.model_validate(SOLUTION)
    config = either.gemini.bodies[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["steps", "answer"]


def test_a_streamed_answer_is_parsed_into_a_model(either: House, client: OpenAI) -> None:
    either.gemini.replies(answer(json.dumps(SOLUTION), chunks=6))

    with client.chat.completions.stream(model=MODEL, messages=ASK, response_format=Solution) as stream:
        done = [event.parsed for event in stream if event.type == "content.done"]

    assert done == [Solution.model_validate(SOLUTION)]


def test_calls_are_parsed_into_models(either: House, client: OpenAI) -> None:
    call_twice(either)

    message = client.chat.completions.parse(model=MODEL, messages=ASK, tools=TOOLS).choices[0].message

    parsed = [call.function.parsed_arguments for call in message.tool_calls or ()]
    assert parsed == [Weather(city="Oslo"), Weather(city="Rome")]


def test_an_answer_cut_by_its_token_limit_is_not_parsed(either: House, client: OpenAI) -> None:
    either.gemini.replies(answer('{"steps": [', finish="MAX_TOKENS"))

    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Solution)


def test_json_without_a_schema_is_json(either: House, client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ASK, response_format={"type": "json_object"})

    assert isinstance(json.loads(completion.choices[0].message.content or ""), dict)


async def test_calls_and_models_come_asynchronously_too(either: House, async_client: AsyncOpenAI) -> None:
    call_twice(either)
    either.gemini.replies(json.dumps(SOLUTION))

    stream = await async_client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, stream=True)
    calls = gathered([chunk async for chunk in stream])
    completion = await async_client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Solution)

    assert [json.loads(call["arguments"]) for call in calls.values()] == [*CITIES]
    assert completion.choices[0].message.parsed == Solution.model_validate(SOLUTION)
