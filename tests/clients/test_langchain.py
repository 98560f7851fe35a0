"""langchain-openai, pointed at hajimi: answers, streams, tools and structured output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from tests.gemini import answer, blocked
from tests.gemini.model import embedding
from tests.service.houses import House

pytest.importorskip("langchain_openai", reason="langchain-openai is not installed (requirements-slow.txt)")

import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

# LangChain's own affair.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")

MODEL = "gemini-3-flash-preview"
CITIES = ({"city": "Oslo"}, {"city": "Rome"})


class Sum(BaseModel):
    """A sum and how it came about."""

    total: int
    steps: list[str]


SUM = {"total": 42, "steps": ["6 times 7"]}


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}."


@pytest.fixture
def chat(either: House) -> ChatOpenAI:
    return model_of(either)


def model_of(house: House, **fields: Any) -> ChatOpenAI:
    base_url, key = f"{house.server.base_url}/v1", house.server.password
    return ChatOpenAI(model=MODEL, base_url=base_url, api_key=key, max_retries=0, **fields)


def call_twice(house: House) -> None:
    """Let Gemini call the function for both cities."""
    parts: list[Any] = [{"functionCall": {"name": "weather", "args": args}} for args in CITIES]
    parts[0]["thoughtSignature"] = "c2lnbmVk"
    house.gemini.replies(answer("", parts=tuple(parts)))


def test_it_invokes(either: House, chat: ChatOpenAI) -> None:
    either.gemini.replies("Hello there.")

    message = chat.invoke([SystemMessage("Be kind."), HumanMessage("Hi")])

    assert message.content == "Hello there."
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] > message.usage_metadata["output_tokens"] > 0
    assert either.gemini.bodies[0]["systemInstruction"]["parts"] == [{"text": "Be kind."}]


def test_it_streams(either: House, chat: ChatOpenAI) -> None:
    either.gemini.replies(answer("one two three", chunks=3))

    chunks = list(chat.stream("Count"))

    assert "".join(str(chunk.content) for chunk in chunks) == "one two three"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_tells_its_usage(either: House) -> None:
    whole: Any = None
    for chunk in model_of(either, stream_usage=True).stream("Count"):
        whole = chunk if whole is None else whole + chunk

    assert whole.usage_metadata["total_tokens"] > 0
    assert whole.response_metadata["finish_reason"] == "stop"


# The only one: LangChain keeps its async client, bound to the loop of the first test, for each address.
async def test_it_invokes_streams_and_batches_asynchronously(either: House, chat: ChatOpenAI) -> None:
    either.gemini.always(answer("one two three", chunks=3))

    message = await chat.ainvoke("Count")
    text = "".join([str(chunk.content) async for chunk in chat.astream("Count")])
    batch = await chat.abatch(["Count", "Count again"])

    assert {str(message.content), text, *(str(each.content) for each in batch)} == {"one two three"}


Ask = Callable[[Any, list[Any]], Any]


def invoke(bound: Any, messages: list[Any]) -> Any:
    return bound.invoke(messages)


def stream(bound: Any, messages: list[Any]) -> Any:
    whole = AIMessageChunk("")
    for chunk in bound.stream(messages):
        whole += chunk
    return whole


@pytest.mark.parametrize("ask", [invoke, stream])
def test_bound_tools_are_called_and_their_results_go_back(either: House, chat: ChatOpenAI, ask: Ask) -> None:
    call_twice(either)
    bound = chat.bind_tools([weather])
    messages: list[Any] = [HumanMessage("What is the weather in Oslo and in Rome?")]

    message = ask(bound, messages)
    results = [weather.invoke(call) for call in message.tool_calls]
    either.gemini.replies("Wet.")
    last = ask(bound, [*messages, message, *results])

    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("weather", args) for args in CITIES]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert last.content == "Wet."
    _user, called, answered = either.gemini.bodies[-1]["contents"]
    # LangChain keeps no signatures: they come from here.
    assert [part.get("thoughtSignature") for part in called["parts"]] == ["c2lnbmVk", None]
    assert [part["functionResponse"]["response"] for part in answered["parts"]] == [
        {"result": "Rain in Oslo."},
        {"result": "Rain in Rome."},
    ]


def test_a_tool_can_be_required(either: House, chat: ChatOpenAI) -> None:
    call_twice(either)

    chat.bind_tools([weather], tool_choice="weather").invoke("Oslo?")

    sent = either.gemini.bodies[0]["toolConfig"]["functionCallingConfig"]
    assert sent == {"mode": "ANY", "allowedFunctionNames": ["weather"]}


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_output_is_structured_as_json(either: House, chat: ChatOpenAI, method: Any) -> None:
    either.gemini.replies(json.dumps(SUM))

    assert chat.with_structured_output(Sum, method=method).invoke("6 times 7, as JSON?") == Sum.model_validate(SUM)


def test_output_is_structured_by_a_function(either: House, chat: ChatOpenAI) -> None:
    either.gemini.replies(answer("", parts=({"functionCall": {"name": "Sum", "args": SUM}},)))

    structured = chat.with_structured_output(Sum, method="function_calling")

    assert structured.invoke("6 times 7?") == Sum.model_validate(SUM)


def test_structured_output_is_streamed(either: House, chat: ChatOpenAI) -> None:
    either.gemini.replies(answer(json.dumps(SUM), chunks=4))

    seen = list(chat.with_structured_output(Sum).stream("6 times 7?"))

    assert seen[-1] == Sum.model_validate(SUM)


def test_pictures_go_in(either: House, chat: ChatOpenAI) -> None:
    picture = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}

    chat.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])])

    data = [part["inlineData"] for part in either.gemini.bodies[0]["contents"][0]["parts"] if "inlineData" in part]
    assert data == [{"mimeType": "image/png", "data": "iVBORw0KGgo="}]


def test_texts_are_embedded(either: House) -> None:
    base_url, key = f"{either.server.base_url}/v1", either.server.password
    # Without this it sends numbers of OpenAI's own tokens, which mean nothing to other models.
    embeddings = OpenAIEmbeddings(
        model="gemini-embedding-001", base_url=base_url, api_key=key, check_embedding_ctx_length=False
    )

    [vector, _] = embeddings.embed_documents(["one", "two"])

    assert vector == pytest.approx(embedding({"parts": [{"text": "one"}]}, 768), rel=1e-6)


def test_a_refusal_is_openais_error(either: House, chat: ChatOpenAI) -> None:
    either.gemini.replies(blocked("PROHIBITED_CONTENT"))

    with pytest.raises(openai.BadRequestError, match="PROHIBITED_CONTENT"):
        chat.invoke("Hi")
