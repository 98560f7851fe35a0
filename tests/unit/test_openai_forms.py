"""What stands beside the text of an OpenAI answer: calls in both forms, signatures, pictures, sound, sources."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.translation.openai import ChunkEncoder, Form, fold
from proxy.translation.reply import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    MediaDelta,
    SignatureDelta,
    Source,
    TextDelta,
    ToolCallDelta,
    Usage,
)

DONE = b"data: [DONE]\n\n"
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
CALL = ToolCallDelta("call_1", "look", '{"at":1}', 0, signature="c2ln")
SECOND_CALL = ToolCallDelta("call_2", "go", "{}", 1)
PCM = bytes(range(100))
SOUND = "audio/L16;codec=pcm;rate=24000"


def chunks(deltas: Sequence[Delta], form: Form | None = None) -> list[dict[str, Any]]:
    """The choices of the chunks, each batch of one delta; all are what the openai SDK takes."""
    encoder = ChunkEncoder("chatcmpl-7", "gemini", 1700000000, False, form)
    data = b"".join([*(encoder.encode([delta]) for delta in deltas), encoder.end(Usage())]).removesuffix(DONE)
    documents = [orjson.loads(frame.removeprefix(b"data: ")) for frame in data.split(b"\n\n") if frame]
    for document in documents:
        ChatCompletionChunk.model_validate(document)
    return [document["choices"][0] for document in documents]


def whole(deltas: Sequence[Delta], form: Form | None = None) -> dict[str, Any]:
    """The choice of the document; it is what the openai SDK takes."""
    document = orjson.loads(orjson.dumps(fold(deltas, Usage(), "chatcmpl-7", "gemini", 1700000000, form)))
    ChatCompletion.model_validate(document, strict=True)
    choice: dict[str, Any] = document["choices"][0]
    return choice


def added_up(deltas: Sequence[Delta], form: Form | None = None) -> dict[str, Any]:
    """What the openai SDK makes of the chunks."""
    message: dict[Any, Any] = {}
    for choice in chunks(deltas, form):
        message = accumulate_delta(message, choice["delta"])
    return message


# Calls and signatures


def test_a_call_carries_its_signature_as_google_writes_it():
    deltas = [CALL, SECOND_CALL, FinishDelta(Finish.TOOL_CALLS)]

    first, second = whole(deltas)["message"]["tool_calls"]
    function = {"name": "look", "arguments": '{"at":1}'}
    assert first == {"id": "call_1", "type": "function", "function": function} | SIGNED
    assert "extra_content" not in second
    streamed = added_up(deltas)["tool_calls"]
    assert [{name: call[name] for name in call if name != "index"} for call in streamed] == [first, second]


def test_a_text_carries_its_signature_in_the_message():
    deltas = [TextDelta("Hello"), SignatureDelta("c2ln"), FinishDelta(Finish.STOP)]

    assert whole(deltas)["message"]["extra_content"] == SIGNED["extra_content"]
    assert [choice["delta"] for choice in chunks(deltas)] == [{"role": "assistant", "content": "Hello"}, SIGNED, {}]


def test_the_old_form_has_one_call_and_no_id():
    form, deltas = Form(old_functions=True), [CALL, SECOND_CALL, FinishDelta(Finish.TOOL_CALLS)]

    choice = whole(deltas, form)
    function = {"name": "look", "arguments": '{"at":1}'} | SIGNED
    assert choice["message"]["function_call"] == function
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"
    first, last = chunks(deltas, form)
    assert first["delta"] == {"role": "assistant", "function_call": function}
    assert (last["delta"], last["finish_reason"]) == ({}, "function_call")


def test_an_old_form_answer_without_call_just_stops():
    assert whole([TextDelta("Hi"), FinishDelta(Finish.STOP)], Form(old_functions=True))["finish_reason"] == "stop"


# Pictures


def test_a_picture_stands_in_the_text_and_beside_it():
    deltas = [
        TextDelta("Here: "),
        MediaDelta("image/png", "AAAA", order=0, at=6, signature="c2ln"),
        MediaDelta("image/jpeg", "BBBB", order=1, at=6),
        FinishDelta(Finish.STOP),
    ]

    message = whole(deltas)["message"]
    first = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
    second = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,BBBB"}, "index": 1}
    assert message["images"] == [first | SIGNED, second]
    pictures = "![image](data:image/png;base64,AAAA)![image](data:image/jpeg;base64,BBBB)"
    assert message["content"] == "Here: " + pictures
    streamed = added_up(deltas)
    assert (streamed["content"], streamed["images"]) == (message["content"], message["images"])


def test_what_is_neither_picture_nor_sound_is_a_link():
    message = whole([MediaDelta("video/mp4", "AAAA"), FinishDelta(Finish.STOP)])["message"]

    assert message["content"] == "[video](data:video/mp4;base64,AAAA)"
    assert "images" not in message


# Sound


def pieces(data: bytes, size: int, mime: str = SOUND) -> list[Delta]:
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    media = [MediaDelta(mime, base64.b64encode(one).decode(), order=order) for order, one in enumerate(cut)]
    return [*media, FinishDelta(Finish.STOP)]


@pytest.mark.parametrize("size", [1, 7, 50, 102])
def test_asked_for_sound_is_a_wav_file(size: int):
    message = whole(pieces(PCM, size), Form(audio="wav"))["message"]

    assert message["content"] is None
    audio = message["audio"]
    assert (audio["id"], audio["expires_at"], audio["transcript"]) == ("audio_7", 1700000000, "")
    with wave.open(io.BytesIO(base64.b64decode(audio["data"], validate=True))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24000, 1, 2)
        assert sound.readframes(1000) == PCM


def test_asked_for_samples_are_bare():
    audio = whole(pieces(PCM, 10), Form(audio="pcm16"))["message"]["audio"]

    assert base64.b64decode(audio["data"], validate=True) == PCM


@pytest.mark.parametrize("size", [1, 7, 50, 102])
@pytest.mark.parametrize("audio", ["wav", "pcm16"])
def test_streamed_sound_adds_up(size: int, audio: str):
    form = Form(audio=audio)

    streamed = added_up(pieces(PCM, size), form)["audio"]

    data = base64.b64decode(streamed.pop("data"), validate=True)
    assert streamed == {"id": "audio_7", "transcript": "", "expires_at": 1700000000}
    assert data.endswith(PCM)
    assert data[:4] == (b"RIFF" if audio == "wav" else PCM[:4])
    assert len(data) == len(PCM) + (44 if audio == "wav" else 0)
    assert chunks(pieces(PCM, size), form)[-1]["delta"] == {}


def test_the_rate_is_the_one_that_google_names():
    audio = whole(pieces(PCM, 200, "audio/L16;rate=16000"), Form(audio="wav"))["message"]["audio"]

    with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as sound:
        assert sound.getframerate() == 16000


def test_sound_that_is_a_file_already_stays_as_it_is():
    audio = whole(pieces(b"ID3...", 200, "audio/mpeg"), Form(audio="wav"))["message"]["audio"]

    assert base64.b64decode(audio["data"]) == b"ID3..."


def test_sound_that_nobody_asked_for_is_a_playable_link():
    content = whole(pieces(PCM, 200))["message"]["content"]

    start = "[audio](data:audio/wav;base64,"
    assert content.startswith(start)
    with wave.open(io.BytesIO(base64.b64decode(content[len(start) : -1]))) as sound:
        assert sound.getnframes() == len(PCM) // 2


def test_sound_that_is_no_base64_is_silence():
    deltas = [MediaDelta(SOUND, "!"), FinishDelta(Finish.STOP)]

    assert added_up(deltas, Form(audio="pcm16"))["audio"]["data"] == ""
    assert whole(deltas, Form(audio="pcm16"))["message"]["audio"]["data"] == ""


# Sources

NEWS = Source("https://news.example/a_(b)", "News [today]")
FILE = Source("gs://bucket/file", "File")
PLAIN = Source("https://plain.example", "plain.example")


def backed(*places: tuple[int, int], sources: Sequence[Source] = (NEWS,)) -> AnnotationsDelta:
    return AnnotationsDelta(tuple(Annotation(start, end, NEWS) for start, end in places), tuple(sources))


def test_a_source_is_an_annotation():
    deltas = [TextDelta("One. Two."), backed((5, 9)), FinishDelta(Finish.STOP)]

    citation = {"start_index": 5, "end_index": 9, "url": NEWS.url, "title": NEWS.title}
    expected = [{"type": "url_citation", "url_citation": citation}]
    message = whole(deltas)["message"]
    assert message["annotations"] == expected
    assert message["content"] == "One. Two."
    assert [choice["delta"].get("annotations") for choice in chunks(deltas)] == [None, expected, None]


def test_pictures_in_the_text_move_what_follows_them():
    deltas = [
        MediaDelta("image/png", "AAAA", at=0),
        TextDelta("One. "),
        MediaDelta("image/png", "BBBB", at=5),
        TextDelta("Two."),
        backed((0, 5), (5, 9), (0, 9)),
        FinishDelta(Finish.STOP),
    ]

    for message in (whole(deltas)["message"], added_up(deltas)):
        places = [one["url_citation"] for one in message["annotations"]]
        texts = [message["content"][place["start_index"] : place["end_index"]] for place in places]
        assert texts == ["One. ", "Two.", "One. ![image](data:image/png;base64,BBBB)Two."]


def test_sources_can_be_listed_in_the_text():
    deltas = [TextDelta("One."), backed((0, 4), sources=[NEWS, FILE, PLAIN]), FinishDelta(Finish.STOP)]
    listed = (
        "\n\n---\n1. [News \\[today\\]](https://news.example/a_%28b%29)\n2. [plain.example](https://plain.example)\n"
    )

    message = whole(deltas, Form(list_sources=True))["message"]

    assert message["content"] == "One." + listed
    assert len(message["annotations"]) == 1
    assert added_up(deltas, Form(list_sources=True))["content"] == "One." + listed


def test_sources_without_a_place_are_only_listed():
    deltas = [TextDelta("One."), backed(), FinishDelta(Finish.STOP)]

    assert "annotations" not in whole(deltas)["message"]
    assert [choice["delta"] for choice in chunks(deltas)] == [{"role": "assistant", "content": "One."}, {}]
    assert "news.example" in whole(deltas, Form(list_sources=True))["message"]["content"]
