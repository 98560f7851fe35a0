"""Bytes of a server-sent event stream -> its JSON events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.sse import HEARTBEAT, BadEvent, SseDecoder


def decoded(*chunks: bytes) -> list[dict[str, Any]]:
    decoder = SseDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


def decoded_until_bad(chunks: list[bytes], limit_bytes: int = 1000) -> tuple[list[dict[str, Any]], bool]:
    """What came, and whether a bad event ended it."""
    decoder, events = SseDecoder(limit_bytes), []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        return events + decoder.finish(), False
    except BadEvent:
        return events, True


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\uDE00b", "\ufffdb"),
        (r"\ud83d\ud83d\ude00\\ud83d", "\ufffd😀\\ud83d"),
        (r"\ude00\ud83d\n", "\ufffd\ufffd\n"),
    ],
)
def test_half_a_character_is_replaced(written: str, read: str):
    assert decoded(f'data: {{"a": "{written}"}}\r\n\r\n'.encode()) == [{"a": read}]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
def test_it_reads_every_kind_of_line_end(end: bytes):
    stream = b'data: {"a": 1}' + end + end + b'data: {"a": 2}' + end + end

    assert decoded(stream) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "stream",
    [
        b'data:{"a":1}\n\n',
        b'data: {"a":1}\n\n\n\n',
        b': a comment\ndata: {"a":1}\n\n',
        b'event: message\nid: 7\nretry: 10\ndata: {"a":1}\n\n',
        b'data: {"a":\ndata: 1}\n\n',
        b'data: {"a":1}\n\ndata: [DONE]\n\n',
        b'data: \n\ndata: {"a":1}\n\n',
        b'database: {"b":1}\n\ndata: {"a":1}\n\n',
        b'data: {"a":1}\n',
        b'data: {"a":1}',
        HEARTBEAT + b'data: {"a":1}\n\n' + HEARTBEAT,
    ],
)
def test_it_reads_one_event(stream: bytes):
    assert decoded(stream) == [{"a": 1}]


def test_it_gives_an_event_as_soon_as_its_blank_line_came():
    decoder = SseDecoder()

    assert decoder.feed(b'data: {"a":1}\r\n\r') == [{"a": 1}]
    assert decoder.feed(b'\ndata: {"a":2}\r\n\r\ndata: {"a"') == [{"a": 2}]
    assert decoder.feed(b":3}\r\n\r\n") == [{"a": 3}]
    assert decoder.finish() == []


def test_a_line_end_cut_in_two_is_one_line_end():
    stream = b'data: {"a":\r\ndata: 1}\r\n\r\n'

    for border in range(len(stream)):
        assert decoded(stream[:border], stream[border:]) == [{"a": 1}]


def test_a_stream_of_nothing_has_no_event():
    assert decoded() == []
    assert decoded(b"", b"") == []


@pytest.mark.parametrize(
    "stream",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b"data: 7\n\n",
        b'data: {"a": NaN}\n\n',
        b'data: {"a": "\xff"}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n",
        b'data: {"cut": "in the mid',
    ],
)
def test_it_refuses_what_is_no_json_object(stream: bytes):
    with pytest.raises(BadEvent):
        decoded(stream)


def test_events_before_a_bad_one_are_given_first():
    decoder = SseDecoder()

    assert decoder.feed(b'data: {"a":1}\n\ndata: oops\n\ndata: {"a":2}\n\n') == [{"a": 1}]
    with pytest.raises(BadEvent):
        decoder.feed(b'data: {"a":3}\n\n')
    with pytest.raises(BadEvent):
        decoder.finish()


def test_it_refuses_an_event_over_its_limit_before_it_ends():
    decoder = SseDecoder(limit_bytes=100)

    decoder.feed(b'data: {"a":"' + b"x" * 80)
    with pytest.raises(BadEvent):
        decoder.feed(b"x" * 80)


def test_it_refuses_an_event_of_many_lines_over_its_limit():
    decoder = SseDecoder(limit_bytes=100)

    with pytest.raises(BadEvent):
        for _ in range(50):
            decoder.feed(b"data: 1,\n")


def test_the_limit_is_for_one_event_not_for_the_stream():
    decoder = SseDecoder(limit_bytes=100)

    events = [event for _ in range(1000) for event in decoder.feed(b'data: {"a":1}\n\n')]

    assert len(events) == 1000


def test_a_great_event_in_many_reads_comes_whole():
    text = "A" * 3_000_000
    stream = b"data: " + orjson.dumps({"image": text}) + b"\r\n\r\n"

    assert decoded(*(stream[at : at + 64] for at in range(0, len(stream), 64))) == [{"image": text}]


# A busy machine draws slowly; that says nothing of the code.
patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
json_objects = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-99, 99) | st.none(), max_size=3)
line_ends = st.sampled_from([b"\r\n", b"\n", b"\r"])


@st.composite
def framed(draw: st.DrawFn) -> tuple[bytes, list[dict[str, Any]]]:
    """A stream in any of the forms that the standard allows, and its events."""
    events = draw(st.lists(json_objects, max_size=6))
    stream = b""
    for event in events:
        end = draw(line_ends)
        before = draw(st.sampled_from([b"", b": hi" + end, b"event: x" + end, b"data: [DONE]" + end + end]))
        stream += before + draw(st.sampled_from([b"data:", b"data: "])) + orjson.dumps(event) + end + end
    return stream, events


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[Any]) -> tuple[Any, list[bytes]]:
    drawn = draw(streams)
    stream = drawn[0] if isinstance(drawn, tuple) else drawn
    borders = draw(st.lists(st.integers(0, len(stream)), max_size=12))
    places = [0, *sorted(borders), len(stream)]
    return drawn, [stream[start:end] for start, end in pairwise(places)]


@patient
@given(cut(framed()))
def test_any_cut_of_a_stream_gives_the_same_events(drawn: tuple[tuple[bytes, list[dict[str, Any]]], list[bytes]]):
    (_, events), chunks = drawn

    assert decoded(*chunks) == events


lines = st.sampled_from(
    [b"data: {}", b'data: {"a":', b"data: 1}", b"data", b"data:", b": c", b"x", b"\xff", b"data: ["]
)
rubbish = st.lists(lines | line_ends, max_size=20).map(b"".join) | st.binary(max_size=40)


@patient
@given(cut(rubbish))
def test_any_cut_of_rubbish_ends_the_same_way(drawn: tuple[bytes, list[bytes]]):
    stream, chunks = drawn

    assert decoded_until_bad(chunks) == decoded_until_bad([stream])
