"""Deltas -> Anthropic's events and messages, as the anthropic SDK reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.anthropic_reply import PING, MessageEncoder, fold
from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    SignatureDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.usage import Usage
from tests.deltas import ANSWERS

USAGE = Usage(prompt=10, completion=7, total=17, thoughts=4, cached=3)
STOP = FinishDelta(Finish.STOP)
CALL = ToolCallDelta("c1", "weather", '{"city":"Ulm"}', 0, signature="U0lH")
PAGE = Source("https://x.y", "X")

patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def stream(*batches: Sequence[Delta], thoughts: bool = True) -> bytes:
    encoder = MessageEncoder("msg_1", "gemini", thoughts=thoughts)
    return b"".join(encoder.encode(batch) for batch in batches) + PING + encoder.end(USAGE)


def whole(*deltas: Delta, thoughts: bool = True) -> dict[str, Any]:
    document = fold(deltas, USAGE, "msg_1", "gemini", thoughts=thoughts)
    return orjson.loads(orjson.dumps(document))


def events(data: bytes) -> list[dict[str, Any]]:
    found = [orjson.loads(line.removeprefix("data: ")) for line in data.decode().split("\n") if line[:6] == "data: "]
    return [event for event in found if event["type"] != "ping"]


def heard(data: bytes) -> anthropic.types.Message:
    """Return the message that the SDK puts together from the stream."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    transport = httpx2.MockTransport(lambda request: answer)
    with (
        anthropic.DefaultHttpxClient(transport=transport) as http,
        anthropic.Anthropic(base_url="http://x", api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model="gemini", max_tokens=1, messages=[]) as reader,
    ):
        return reader.get_final_message()


def test_the_events_of_a_text() -> None:
    delta = {"type": "text_delta", "text": "Hi"}
    usage = {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }

    start, *rest = events(stream([TextDelta("Hi")], [TextDelta(" there"), STOP]))

    assert start["type"] == "message_start"
    assert start["message"]["content"] == []
    assert rest == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_delta", "index": 0, "delta": {**delta, "text": " there"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def test_thoughts_come_before_the_text_in_a_block_of_their_own() -> None:
    content = whole(ThoughtDelta("h"), ThoughtDelta("m"), TextDelta("Hi"), STOP)["content"]

    assert content == [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "Hi"}]


def test_thoughts_nobody_asked_for_are_left_out() -> None:
    content = whole(ThoughtDelta("hm"), TextDelta("Hi"), CALL, STOP, thoughts=False)["content"]

    assert [block["type"] for block in content] == ["text", "tool_use"]


@pytest.mark.parametrize("before", [(), (ThoughtDelta("hm"),), (ThoughtDelta("hm"), TextDelta("Wait."))])
def test_a_signature_comes_with_the_thinking_block_before_its_call(before: tuple[Delta, ...]) -> None:
    *_, thought, call = whole(*before, CALL, FinishDelta(Finish.TOOL_CALLS))["content"]

    assert thought["type"] == "thinking"
    assert thought["signature"] == "hajimi1.c1.U0lH"
    assert call == {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Ulm"}}


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "end_turn"),
        (Finish.LENGTH, "max_tokens"),
        (Finish.TOOL_CALLS, "tool_use"),
        (Finish.CONTENT_FILTER, "refusal"),
    ],
)
def test_it_says_why_it_ended(finish: Finish, reason: str) -> None:
    message = whole(TextDelta("Hi"), FinishDelta(finish))

    assert message["stop_reason"] == reason
    assert bool(message["stop_details"]) is (reason == "refusal")


def test_an_image_is_markdown_in_the_text() -> None:
    [block] = whole(TextDelta("See "), MediaDelta("image/png", "AAAA"), TextDelta("!"), STOP)["content"]

    assert block["text"] == "See ![image](data:image/png;base64,AAAA)!"


def test_pages_are_citations_of_the_text() -> None:
    found = AnnotationsDelta((Annotation(0, 2, PAGE),), (PAGE,))

    [block] = whole(TextDelta("Hi"), LogprobsDelta(()), found, SignatureDelta("U0lH"), STOP)["content"]

    [citation] = block["citations"]
    assert (citation["type"], citation["url"], citation["title"]) == ("web_search_result_location", "https://x.y", "X")


def test_the_tokens_so_far_are_told_at_the_start() -> None:
    encoder = MessageEncoder("msg_1", "gemini", thoughts=False, usage_so_far=lambda: Usage(prompt=5, cached=2))

    [start] = events(encoder.encode([]))

    assert start["message"]["usage"]["input_tokens"] == 3
    assert start["message"]["usage"]["cache_read_input_tokens"] == 2


def test_an_answer_that_breaks_off_is_an_error_to_the_sdk() -> None:
    encoder = MessageEncoder("msg_1", "gemini", thoughts=False)
    document = {"type": "error", "error": {"type": "overloaded_error", "message": "It broke off."}}
    data = encoder.encode([TextDelta("Hi")]) + encoder.error(document)

    with pytest.raises(anthropic.APIStatusError, match="It broke off"):
        heard(data)


@patient
@given(ANSWERS, st.booleans())
def test_the_sdk_hears_of_any_answer_what_its_document_says(batches: list[list[Delta]], thoughts: bool) -> None:
    message = heard(stream(*batches, thoughts=thoughts))

    document = whole(*(delta for batch in batches for delta in batch), thoughts=thoughts)
    assert message.to_dict() == anthropic.types.Message.model_validate(document).to_dict()


@patient
@given(ANSWERS)
def test_blocks_follow_each_other_one_at_a_time(batches: list[list[Delta]]) -> None:
    first, *blocks, _ending, last = events(stream(*batches))

    assert (first["type"], last["type"]) == ("message_start", "message_stop")
    index, is_open = -1, False
    for event in blocks:
        if event["type"] == "content_block_start":
            assert not is_open
            index, is_open = index + 1, True
        assert is_open
        assert event["index"] == index
        is_open = event["type"] != "content_block_stop"
    assert not is_open
