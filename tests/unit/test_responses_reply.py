"""Deltas -> the events and documents of OpenAI's responses, as the openai SDK reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2
import openai
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    MediaDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.responses_reply import ResponseEncoder, fold, head
from proxy.translation.usage import Usage
from tests.deltas import ANSWERS

USAGE = Usage(prompt=10, completion=7, total=17, thoughts=4, cached=3)
STOP = FinishDelta(Finish.STOP)
CALL = ToolCallDelta("c1", "weather", '{"city":"Ulm"}', 0, signature="U0lH")
EVERYTHING = {
    "model": "gemini",
    "input": "Hi",
    "reasoning": {"summary": "auto"},
    "include": ["reasoning.encrypted_content"],
}
PLAIN = {"model": "gemini", "input": "Hi"}

patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def encoder(document: dict[str, Any] = EVERYTHING) -> ResponseEncoder:
    return ResponseEncoder(head(document, "resp_1", "gemini", 1), document)


def stream(*batches: Sequence[Delta], document: dict[str, Any] = EVERYTHING) -> bytes:
    writer = encoder(document)
    return b"".join(writer.encode(batch) for batch in batches) + writer.end(USAGE)


def whole(*deltas: Delta, document: dict[str, Any] = EVERYTHING) -> dict[str, Any]:
    folded = orjson.loads(orjson.dumps(fold(deltas, USAGE, head(document, "resp_1", "gemini", 1), document)))
    Response.model_validate(folded)
    return folded


def events(data: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line.removeprefix("data: ")) for line in data.decode().split("\n") if line[:6] == "data: "]


def heard(data: bytes) -> list[Any]:
    """Return what the SDK tells of the stream."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    transport = httpx2.MockTransport(lambda request: answer)
    with (
        openai.DefaultHttpxClient(transport=transport) as http,
        openai.OpenAI(base_url="http://x", api_key="k", http_client=http, max_retries=0) as client,
        client.responses.stream(model="gemini", input="Hi") as reader,
    ):
        return list(reader)


def test_the_events_of_a_text() -> None:
    found = events(stream([ThoughtDelta("hm")], [TextDelta("Hi")], [TextDelta(" there"), STOP]))

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_the_document_of_an_answer() -> None:
    document = whole(ThoughtDelta("hm"), TextDelta("Hi"), STOP)

    thought, message = document["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert message["content"] == [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}]
    assert (document["status"], document["store"], document["model"]) == ("completed", False, "gemini")
    assert document["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 17,
    }


def test_the_requests_own_words_come_back() -> None:
    asked = {
        **PLAIN,
        "instructions": "Be kind.",
        "max_output_tokens": 9,
        "temperature": 0.5,
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
    }

    document = whole(TextDelta("Hi"), STOP, document=asked)

    same = ("instructions", "max_output_tokens", "temperature", "metadata", "tools", "tool_choice")
    assert [document[name] for name in same] == [asked[name] for name in same]
    assert document["parallel_tool_calls"] is False
    assert document["reasoning"] == {"effort": "low", "summary": None}
    assert document["text"] == {"format": {"type": "text"}, "verbosity": "low"}


def test_what_nobody_asked_for_is_left_out() -> None:
    document = whole(ThoughtDelta("hm"), TextDelta("Hi"), CALL, STOP, document=PLAIN)

    assert [item["type"] for item in document["output"]] == ["message", "function_call"]


@pytest.mark.parametrize("before", [(), (ThoughtDelta("hm"),), (TextDelta("Wait."),)])
def test_a_signature_comes_as_encrypted_reasoning_before_its_call(before: tuple[Delta, ...]) -> None:
    *_, thought, call = whole(*before, CALL, FinishDelta(Finish.TOOL_CALLS))["output"]

    assert thought["type"] == "reasoning"
    assert thought["encrypted_content"] == "hajimi1.c1.U0lH"
    assert (call["call_id"], call["name"], call["arguments"]) == ("c1", "weather", '{"city":"Ulm"}')


@pytest.mark.parametrize(
    ("finish", "reason"), [(Finish.LENGTH, "max_output_tokens"), (Finish.CONTENT_FILTER, "content_filter")]
)
def test_an_answer_that_was_cut_short_is_incomplete(finish: Finish, reason: str) -> None:
    document = whole(TextDelta("Hi"), FinishDelta(finish))

    assert document["status"] == document["output"][0]["status"] == "incomplete"
    assert document["incomplete_details"] == {"reason": reason}
    *_, last = events(stream([TextDelta("Hi"), FinishDelta(finish)]))
    assert last["type"] == "response.incomplete"


def test_an_image_is_an_item_and_other_media_a_message() -> None:
    image, video = whole(MediaDelta("image/png", "AAAA"), MediaDelta("video/mp4", "BBBB"), STOP)["output"]

    assert (image["type"], image["result"], image["output_format"]) == ("image_generation_call", "AAAA", "png")
    assert video["content"][0]["text"] == "[video](data:video/mp4;base64,BBBB)"


def test_pages_are_annotations_of_the_message_they_stand_in() -> None:
    page = Source("https://x.y", "X")
    found = AnnotationsDelta((Annotation(0, 2, page), Annotation(6, 9, page)), (page,))

    first, _call, second = whole(TextDelta("Wait. "), CALL, TextDelta("Dry."), found, STOP, document=PLAIN)["output"]

    place = {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://x.y", "title": "X"}
    assert first["content"][0]["annotations"] == []
    assert second["content"][0]["annotations"] == [place]


def test_an_answer_that_breaks_off_is_a_failed_response() -> None:
    writer = encoder()
    refused = {"error": {"message": "It broke off.", "type": "server_error", "param": None, "code": "answer_cut"}}

    *_, last = heard(writer.encode([TextDelta("Hi")]) + writer.error(refused))

    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert (last.response.error.code, last.response.error.message) == ("server_error", "It broke off.")
    assert last.response.output[0].status == "incomplete"


@pytest.mark.parametrize(
    ("kind", "code"), [("rate_limit_error", "rate_limit_exceeded"), ("invalid_request_error", "invalid_prompt")]
)
def test_an_answer_that_never_began_fails_in_the_same_words(kind: str, code: str) -> None:
    found = events(encoder().error({"error": {"message": "No.", "type": kind, "param": None, "code": "x"}}))

    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "response.failed"]
    assert found[-1]["response"]["error"]["code"] == code


@patient
@given(ANSWERS, st.sampled_from([EVERYTHING, PLAIN]))
def test_the_sdk_hears_of_any_answer_what_its_document_says(
    batches: list[list[Delta]], document: dict[str, Any]
) -> None:
    data = stream(*batches, document=document)

    told = heard(data)

    folded = whole(*(delta for batch in batches for delta in batch), document=document)
    assert events(data)[-1]["response"] == folded
    assert told[-1].response.output_text == Response.model_validate(folded).output_text
    said = "".join(event.delta for event in told if event.type == "response.output_text.delta")
    assert said == told[-1].response.output_text


@patient
@given(ANSWERS)
def test_items_follow_each_other_one_at_a_time(batches: list[list[Delta]]) -> None:
    _created, _progress, *between, last = events(stream(*batches))

    done: list[Any] = []
    is_open = False
    for event in between:
        assert event["output_index"] == len(done)
        if event["type"] == "response.output_item.added":
            assert not is_open
            is_open, item = True, event["item"]
        assert is_open
        assert event.get("item_id", item["id"]) == item["id"]
        if event["type"] == "response.output_item.done":
            is_open = False
            done.append(event["item"])
    assert not is_open
    assert done == last["response"]["output"]
