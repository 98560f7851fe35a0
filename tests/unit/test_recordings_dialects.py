"""Recorded answers as Anthropic's messages and as OpenAI's responses: what the SDKs hear is what Gemini said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from openai.types.responses import Response

from proxy.translation import anthropic_reply, responses_reply
from proxy.translation.messages import without_data_images
from proxy.translation.reply import Translator
from proxy.translation.usage import Usage
from tests.recorded import Reading, answer_of, events_in, leaves_of, needs_recordings, recorded_names

pytestmark = [needs_recordings, pytest.mark.parametrize("name", recorded_names())]
WISHES = {
    "model": "gemini",
    "input": "Hi",
    "reasoning": {"summary": "auto"},
    "include": ["reasoning.encrypted_content"],
}
HEAD = responses_reply.head(WISHES, "resp_1", "gemini", 1)
BLOCKS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Wire:
    """Where the SDKs read a stream from."""

    data = b""

    def answer(self, request: Any) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self.data)


WIRE = Wire()
TRANSPORT = httpx2.MockTransport(WIRE.answer)
ANTHROPIC = anthropic.Anthropic(
    base_url="http://x", api_key="k", http_client=anthropic.DefaultHttpxClient(transport=TRANSPORT)
)
OPENAI = openai.OpenAI(base_url="http://x", api_key="k", http_client=openai.DefaultHttpxClient(transport=TRANSPORT))


def read(name: str) -> tuple[list[list[Any]], Usage, Reading]:
    events, translator = events_in(answer_of(name)), Translator()
    batches = [translator.feed(event) for event in events]
    batches.append(translator.finish())
    return batches, translator.usage, Reading(events)


def flat(batches: Iterable[list[Any]]) -> list[Any]:
    return [delta for batch in batches for delta in batch]


def framed(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream; each names its kind twice."""
    found = []
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        kind, document = frame.split("\n", 1)
        found.append(json.loads(document.removeprefix("data: ")))
        assert kind == f"event: {found[-1]['type']}"
    return found


def same_calls(calls: Iterable[tuple[str, Any]], reading: Reading) -> bool:
    expected = [(name, leaves) for name, leaves, _id, _signature in reading.calls]
    return [(name, dict(leaves_of(arguments))) for name, arguments in calls] == expected


# Anthropic


def test_an_anthropic_message_says_what_gemini_said(name: str) -> None:
    batches, usage, reading = read(name)

    whole = anthropic_reply.fold(flat(batches), usage, "msg_1", "gemini", thoughts=True)
    encoder = anthropic_reply.MessageEncoder("msg_1", "gemini", thoughts=True)
    WIRE.data = b"".join(map(encoder.encode, batches)) + encoder.end(usage)

    check_message(anthropic.types.Message.model_validate(whole), reading)
    check_blocks(framed(WIRE.data))
    with ANTHROPIC.messages.stream(model="gemini", max_tokens=1, messages=[]) as heard:
        check_message(heard.get_final_message(), reading)


def check_message(message: anthropic.types.Message, reading: Reading) -> None:
    texts = [block.text for block in message.content if block.type == "text"]
    thoughts = [block.thinking for block in message.content if block.type == "thinking"]
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    signatures = [block.signature for block in message.content if block.type == "thinking" and block.signature]
    assert without_data_images("".join(texts)) == reading.text
    assert "".join(texts).count("](data:") == len(reading.media)
    assert "".join(thoughts) == reading.thoughts
    assert same_calls(calls, reading)
    assert [sealed.rpartition(".")[2] for sealed in signatures] == [call[3] for call in reading.calls if call[3]]
    assert message.stop_reason == STOPS[reading.finish]
    usage = message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == reading.usage["prompt_tokens"]
    assert usage.output_tokens == reading.usage["completion_tokens"]


def check_blocks(events: list[dict[str, Any]]) -> None:
    """Blocks begin and end one after another, numbered; each gets only what belongs into its kind."""
    first, *middle, told, last = events
    assert [first["type"], told["type"], last["type"]] == ["message_start", "message_delta", "message_stop"]
    kind, index = "", -1
    for event in middle:
        match event["type"]:
            case "content_block_start":
                assert not kind
                kind, index = event["content_block"]["type"], index + 1
            case "content_block_delta":
                assert event["delta"]["type"] in BLOCKS[kind]
            case "content_block_stop":
                assert kind
                kind = ""
            case other:
                raise AssertionError(other)
        assert event["index"] == index
    assert not kind


# Responses


def test_a_response_says_what_gemini_said(name: str) -> None:
    batches, usage, reading = read(name)

    whole = json.loads(json.dumps(responses_reply.fold(flat(batches), usage, HEAD, WISHES)))
    encoder = responses_reply.ResponseEncoder(HEAD, WISHES)
    WIRE.data = b"".join(map(encoder.encode, batches)) + encoder.end(usage)

    check_response(Response.model_validate(whole), reading)
    check_items(framed(WIRE.data))
    with OPENAI.responses.stream(model="gemini", input="Hi") as heard:
        told = [event.response for event in heard if event.type in ("response.completed", "response.incomplete")]
    [response] = told
    check_response(response, reading)


def check_response(response: Any, reading: Reading) -> None:
    assert without_data_images(response.output_text) == reading.text
    assert "".join(summaries(response.output)) == reading.thoughts
    calls = [item for item in response.output if item.type == "function_call"]
    assert same_calls([(call.name, json.loads(call.arguments)) for call in calls], reading)
    sealed = [item.encrypted_content for item in response.output if item.type == "reasoning" and item.encrypted_content]
    assert [seal.rpartition(".")[2] for seal in sealed] == [call[3] for call in reading.calls if call[3]]
    pictures = [item.result for item in response.output if item.type == "image_generation_call"]
    assert len(pictures) + response.output_text.count("](data:") == len(reading.media)
    assert response.status == ("incomplete" if reading.finish in ("length", "content_filter") else "completed")
    assert response.usage.input_tokens == reading.usage["prompt_tokens"]
    assert response.usage.output_tokens == reading.usage["completion_tokens"]
    assert response.usage.total_tokens == reading.usage["total_tokens"]


def summaries(items: Iterable[Any]) -> Iterator[str]:
    for item in items:
        if item.type == "reasoning":
            yield from (part.text for part in item.summary)


def check_items(events: list[dict[str, Any]]) -> None:
    """Items begin and end one after another, numbered; what is told of one happens between."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    items: list[dict[str, Any]] = []
    is_open = False
    for event in events[2:-1]:
        if event["type"] == "response.output_item.added":
            assert not is_open
            assert event["output_index"] == len(items)
            items, is_open = [*items, event["item"]], True
            continue
        assert is_open
        assert event["output_index"] == len(items) - 1
        if event["type"] == "response.output_item.done":
            assert event["item"]["id"] == items[-1]["id"]
            items[-1], is_open = event["item"], False
        else:
            assert event["item_id"] == items[-1]["id"]
    assert not is_open
    assert events[-1]["response"]["output"] == items
