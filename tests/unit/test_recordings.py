"""Every recorded answer of Gemini's gives what a plain reading gives, however its bytes are cut; mixed anew too."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
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
from tests.recorded import Call, Reading, answer_of, events_in, leaves_of, needs_recordings, recorded_names, stream_of
from tests.shared import SHARED, needs_shared

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


def failures() -> list[dict[str, Any]]:
    if SHARED is None:
        return []
    rows = json.loads((SHARED / "gemini/errors.json").read_text())["http_200_failures"]
    return [row for row in rows if "body" in row or row["exchange"] in recorded_names()]


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
    for call, (_, _, given_id, _) in zip(calls, expected, strict=True):
        assert call.id == given_id if given_id else call.id.startswith("call_")
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


@needs_recordings
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


@needs_recordings
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


@needs_recordings
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


def parts_in(name: str) -> list[list[dict[str, Any]]]:
    """The parts of a recorded answer; arguments in pieces stay together."""
    runs: list[list[dict[str, Any]]] = []
    for event in events_in(answer_of(name)):
        for candidate in event.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                if "functionCall" in part and "name" not in part["functionCall"] and runs:
                    runs[-1].append(part)
                elif part:
                    runs.append([part])
    return runs


def recombined(names: Sequence[str], chance: random.Random) -> list[dict[str, Any]]:
    """Events that nobody recorded: the parts of some answers in another order and other company."""
    runs = [run for name in names for run in parts_in(name)]
    chance.shuffle(runs)
    events: list[list[dict[str, Any]]] = [[]]
    for run in runs[:40]:
        for part in run:
            if chance.random() < 0.6:
                events.append([])
            events[-1].append(part)
    bodies = [{"candidates": [{"content": {"role": "model", "parts": parts}}]} for parts in events]
    return [*bodies, {"candidates": [{"finishReason": chance.choice(["STOP", "MAX_TOKENS"])}]}]


@needs_recordings
@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_parts_of_recorded_answers_mixed_anew_are_read_the_same_way(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(recorded_names()), min_size=2, max_size=4, unique=True))
    events = recombined(names, random.Random(data.draw(st.integers(0, 2**32))))
    ids = [part["functionCall"].get("id") for event in events for part in parts_of(event) if "functionCall" in part]
    given_ids = [each for each in ids if each]
    assume(len(given_ids) == len(set(given_ids)))

    assert_same(*translated([stream_of(events)]), Reading(events))


def parts_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = event["candidates"][0].get("content", {}).get("parts", [])
    return parts


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
