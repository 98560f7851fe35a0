"""Every recorded answer of Gemini's gives what a plain reading of the recording gives, however its bytes are cut."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from keys.rules import Outcome
from proxy.sse import SseDecoder
from proxy.translation.openai import ChunkEncoder, fold, usage_document
from proxy.translation.reply import (
    AnnotationsDelta,
    FinishDelta,
    MediaDelta,
    ServedDelta,
    SignatureDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Translator,
)
from tests.shared import SHARED, needs_shared

FINISHES = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    2: "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "UNEXPECTED_TOOL_CALL": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
}
FAILURES = {
    "finish_UNEXPECTED_TOOL_CALL": Outcome.EMPTY,
    "finish_MAX_TOKENS": Outcome.TRUNCATED,
    "finish_SAFETY": Outcome.BLOCKED,
    "finish_RECITATION": Outcome.BLOCKED,
    "finish_MODEL_ARMOR": Outcome.BLOCKED,
    "finish_OTHER": Outcome.EMPTY,
    "prompt_blocked": Outcome.BLOCKED,
    "malformed_function_call": Outcome.EMPTY,
    "malformed_function_call_no_content": Outcome.EMPTY,
}


def recorded_names() -> list[str]:
    if SHARED is None:
        return []
    rows = json.loads((SHARED / "gemini/recordings/index.json").read_text())
    kinds = ("generateContent", "streamGenerateContent", "response-only")
    return [row["name"] for row in rows if row["status"] == 200 and row["endpoint"] in kinds]


def failures() -> list[dict[str, Any]]:
    if SHARED is None:
        return []
    rows = json.loads((SHARED / "gemini/errors.json").read_text())["http_200_failures"]
    return [row for row in rows if "body" in row or path_of(row["exchange"]).exists()]


def path_of(name: str) -> Any:
    assert SHARED is not None
    return SHARED / "gemini/recordings" / f"{name}.json"


def answer_of(name: str) -> Any:
    return json.loads(path_of(name).read_text())["response"]["body"]


def events_in(body: Any) -> list[dict[str, Any]]:
    """The plain reading: every recorded frame is one line."""
    if isinstance(body, str):
        return [json.loads(line[5:]) for line in re.split(r"\r\n|\n|\r", body) if line.startswith("data:")]
    return body if isinstance(body, list) else [body]


def stream_of(body: Any) -> bytes:
    """The bytes of a stream as recorded, or the same answer framed as Gemini frames one."""
    if isinstance(body, str):
        return body.encode()
    return b"".join(
        b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n" for event in events_in(body)
    )


# Name, the arguments' leaves by their path, Google's id, signature.
Call = tuple[str, dict[str, Any], str | None, str | None]


def leaves_of(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """The plain values in a JSON value, each with its path; an empty list or object is one too."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves_of(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves_of(inner, f"{path}[{number}]")
    elif (value, path) != ({}, "$"):
        yield path, value


def chosen(items: list[Any], numbers: list[int]) -> list[Any]:
    return [items[number] for number in numbers if number < len(items)]


def quotes_in(candidate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The pieces of text that Google itself quotes as backed by a page, with the page's address."""
    grounding = candidate.get("groundingMetadata", {})
    for support in grounding.get("groundingSupports", []):
        # Two of the recordings were shortened by hand: their supports name more pages than there are.
        for chunk in chosen(grounding["groundingChunks"], support.get("groundingChunkIndices", [])):
            for page in chunk.values():
                if "uri" in page and support["segment"].get("text"):
                    yield support["segment"]["text"], page["uri"]


class Reading:
    """What a person reads in the recorded events of one candidate."""

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self.text = self.thoughts = ""
        self.said = ""
        self.calls: list[Call] = []
        self.signature: str | None = None
        self.served: list[dict[str, Any]] = []
        self.has_text = self.is_mixed = False
        self.media: list[str] = []
        self.quotes: list[tuple[str, str]] = []
        self.reason: Any = None
        self.block: str | None = None
        self.metadata: dict[str, Any] = {}
        for event in events:
            self.metadata = event.get("usageMetadata") or self.metadata
            self.block = event.get("promptFeedback", {}).get("blockReason") or self.block
            for candidate in event.get("candidates", []):
                assert candidate.get("index", 0) == 0
                self.reason = candidate.get("finishReason") or self.reason
                self.has_text = False
                for part in candidate.get("content", {}).get("parts", []):
                    self.read(part)
                self.quotes += quotes_in(candidate)
        if not self.text.strip() and not self.calls and not self.media:
            self.text = ""
        if self.is_mixed or not self.visible:
            self.signature = None

    def read(self, part: dict[str, Any]) -> None:
        if part.get("thought"):
            self.thoughts += part.get("text", "")
            return
        self.text += part.get("text", "")
        self.said += part.get("text", "")
        if "text" in part:
            # A client sends all text back as one: what signed a part of it can not go with the whole.
            self.is_mixed = self.is_mixed or bool(part["text"] and self.has_text)
            self.has_text = self.has_text or bool(part["text"])
            self.signature = part.get("thoughtSignature") or self.signature
        if "executableCode" in part:
            self.is_mixed = True
        if "toolCall" in part or "toolResponse" in part:
            self.served.append(part)
            self.has_text = False
        if code := part.get("executableCode", {}).get("code"):
            self.text += f"\n```python\n{code.rstrip()}\n```\n"
        if output := part.get("codeExecutionResult", {}).get("output"):
            self.text += f"\n```\n{output.rstrip()}\n```\n"
        if "functionCall" in part:
            self.read_call(part["functionCall"], part.get("thoughtSignature"))
        if "inlineData" in part:
            self.media.append(part["inlineData"]["data"])

    def read_call(self, call: dict[str, Any], signature: str | None) -> None:
        if "name" in call:
            leaves = dict(leaves_of(call.get("args", {})))
            self.calls.append((call["name"], leaves, call.get("id"), signature))
        for piece in call.get("partialArgs", []):
            [value] = [piece[name] for name in ("stringValue", "numberValue", "boolValue") if name in piece]
            leaves = self.calls[-1][1]
            leaves[piece["jsonPath"]] = leaves[piece["jsonPath"]] + value if piece["jsonPath"] in leaves else value

    @property
    def visible(self) -> bool:
        return bool(self.text or self.calls or self.media)

    @property
    def finish(self) -> str:
        if self.block:
            return "content_filter"
        finish = FINISHES.get(self.reason) or ("stop" if self.visible else "content_filter")
        return "tool_calls" if finish == "stop" and self.calls else finish

    @property
    def usage(self) -> dict[str, int]:
        count = self.metadata.get
        prompt = count("promptTokenCount", 0) + count("toolUsePromptTokenCount", 0)
        completion = count("candidatesTokenCount", 0) + count("thoughtsTokenCount", 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": count("totalTokenCount", 0) or prompt + completion,
            "cached_tokens": count("cachedContentTokenCount", 0),
            "reasoning_tokens": count("thoughtsTokenCount", 0),
        }


def assert_same(translator: Translator, deltas: list[Any], reading: Reading) -> None:
    deltas = deltas + translator.finish()
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == reading.text
    assert "".join(delta.text for delta in deltas if isinstance(delta, ThoughtDelta)) == reading.thoughts
    assert [delta.data for delta in deltas if isinstance(delta, MediaDelta)] == reading.media
    assert [delta.finish for delta in deltas if isinstance(delta, FinishDelta)] == [reading.finish]
    assert translator.visible is reading.visible
    assert translator.ended is bool(reading.reason or reading.block)
    assert_same_calls([delta for delta in deltas if isinstance(delta, ToolCallDelta)], reading.calls)
    signatures = [delta.signature for delta in deltas if isinstance(delta, SignatureDelta)]
    assert signatures == ([reading.signature] if reading.signature else [])
    kept = [part.wire for delta in deltas if isinstance(delta, ServedDelta) for part in delta.parts]
    assert kept == (reading.served if reading.visible else [])
    usage = usage_document(translator.usage)
    flat = {**usage, **usage["prompt_tokens_details"], **usage["completion_tokens_details"]}
    assert {name: flat[name] for name in reading.usage} == reading.usage


def assert_same_calls(calls: list[ToolCallDelta], expected: list[Call]) -> None:
    assert [(call.name, call.signature) for call in calls] == [(name, signature) for name, _, _, signature in expected]
    assert [dict(leaves_of(json.loads(call.arguments))) for call in calls] == [leaves for _, leaves, _, _ in expected]
    assert [call.order for call in calls] == list(range(len(calls)))
    assert len({call.id for call in calls}) == len(calls)
    for call, (_, _, given, _) in zip(calls, expected, strict=True):
        assert call.id == given if given else call.id.startswith("call_")
        assert 0 < len(call.id) <= 40


def pieces(stream: bytes, borders: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(borders), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


def translated(chunks: Iterable[bytes]) -> tuple[Translator, list[Any]]:
    decoder, translator, deltas = SseDecoder(), Translator(), []
    for chunk in chunks:
        for event in decoder.feed(chunk):
            deltas += translator.feed(event)
    for event in decoder.finish():
        deltas += translator.feed(event)
    return translator, deltas


@needs_shared
@pytest.mark.parametrize("name", recorded_names())
def test_it_reads_a_recorded_answer_whole_and_cut_anywhere(name: str):
    body = answer_of(name)
    stream, reading = stream_of(body), Reading(events_in(body))
    chance = random.Random(name)

    assert_same(*translated([stream]), reading)
    for cuts in (1, 5, 200):
        borders = [chance.randrange(len(stream) + 1) for _ in range(cuts)]
        assert_same(*translated(pieces(stream, borders)), reading)
    assert_same(*translated(pieces(stream, range(1, len(stream)))), reading)


@needs_shared
@pytest.mark.parametrize("name", recorded_names())
def test_the_chunks_of_a_recorded_answer_add_up_to_its_document(name: str):
    translator = Translator()
    batches = [translator.feed(event) for event in events_in(answer_of(name))]
    batches.append(translator.finish())
    encoder = ChunkEncoder("chatcmpl-1", "gemini", 1, include_usage=False)

    data = b"".join([*map(encoder.encode, batches), encoder.end(translator.usage)])
    *frames, done, _ = data.decode().split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    document = fold([delta for batch in batches for delta in batch], translator.usage, "chatcmpl-1", "gemini", 1)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    ChatCompletion.model_validate(document)

    [choice] = document["choices"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == (choice["message"]["content"] or "")
    for field in ("tool_calls", "images", "annotations"):
        streamed = [item for delta in deltas for item in delta.get(field, [])]
        whole = choice["message"].get(field, [])
        assert [item | {"index": None} for item in streamed] == [item | {"index": None} for item in whole]
    streamed_extra = [delta["extra_content"]["google"] for delta in deltas if "extra_content" in delta]
    whole_extra = choice["message"].get("extra_content", {}).get("google", {})
    assert {name: value for extra in streamed_extra for name, value in extra.items()} == whole_extra
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]
    assert document["usage"] == usage_document(translator.usage)


@needs_shared
@pytest.mark.parametrize("name", recorded_names())
def test_a_recorded_source_backs_the_characters_that_google_quotes(name: str):
    events = events_in(answer_of(name))
    translator, reading = Translator(), Reading(events)
    deltas = [delta for event in events for delta in translator.feed(event)] + translator.finish()

    annotations = [one for delta in deltas if isinstance(delta, AnnotationsDelta) for one in delta.annotations]
    quoted = [(reading.text[one.start : one.end], one.source.url) for one in annotations]
    assert all(0 <= one.start < one.end <= len(reading.text) for one in annotations)
    assert set(quoted) >= set(reading.quotes)
    for text, url in cited_in(events, reading.said):
        assert (text, url) in quoted


def cited_in(events: list[dict[str, Any]], said: str) -> Iterator[tuple[str, str]]:
    """The pieces of text that Google cites by their bytes, and from where."""
    for event in events:
        for candidate in event.get("candidates", []):
            citations = candidate.get("citationMetadata", {})
            for row in citations.get("citationSources", []) + citations.get("citations", []):
                start, end = row.get("startIndex", 0), row.get("endIndex", 0)
                if row.get("uri") and 0 < end <= len(said.encode()):
                    yield said.encode()[start:end].decode(), row["uri"]


@needs_shared
@pytest.mark.parametrize("row", failures(), ids=lambda row: f"{row['id']}-{row.get('exchange', 'quoted')}")
def test_it_says_how_a_recorded_failure_ended(row: dict[str, Any]):
    body = row["body"] if "body" in row else answer_of(row["exchange"])
    translator = Translator()

    for event in events_in(body):
        translator.feed(event)

    expected = Outcome.ANSWERED if Reading(events_in(body)).visible else FAILURES[row["id"]]
    assert translator.outcome() is expected
    if FAILURES[row["id"]] is Outcome.BLOCKED:
        assert translator.category


@needs_shared
def test_every_recording_is_read():
    assert len(recorded_names()) >= 618
