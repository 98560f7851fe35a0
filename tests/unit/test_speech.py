"""OpenAI's speech as Gemini's TTS models are asked for it, and the sound back."""

from __future__ import annotations

import io
import struct
import wave
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.deltas import MediaDelta
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.speech import Wish, answer, body, parse
from proxy.translation.whole import WholeTranslator
from tests.anything import JSON, NEAR, objects
from tests.oracle import complaints
from tests.shared import needs_shared
from tests.wishes import names_of, recorded, wish_of

TTS = "gemini-2.5-flash-preview-tts"
PCM = "audio/L16;codec=pcm;rate=24000"
SAMPLES = struct.pack("<4h", 0, 1, -1, 12_345)


def document(**fields: Any) -> dict[str, Any]:
    return {"model": TTS, "input": "Have a wonderful day!", "voice": "Kore", **fields}


def body_for(**fields: Any) -> dict[str, Any]:
    wish = parse(document(**fields))
    return body(wish, resolve(wish.model))


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        body_for(**fields)
    return caught.value


def sound(data: bytes, mime: str = PCM) -> MediaDelta:
    return MediaDelta(mime, b64encode(data).decode())


def test_the_text_is_asked_for_as_sound_in_the_voice() -> None:
    found = body_for(speed=1.0, stream_format="audio", response_format="wav")

    assert found["contents"] == [{"role": "user", "parts": [{"text": "Have a wonderful day!"}]}]
    assert found["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }


def test_instructions_come_before_the_text() -> None:
    parts = body_for(instructions="Say cheerfully: ")["contents"][0]["parts"]
    assert parts == [{"text": "Say cheerfully:\nHave a wonderful day!"}]


@pytest.mark.parametrize(
    ("voice", "gemini"),
    [("alloy", "Kore"), ("Nova", "Leda"), ("puck", "Puck"), ("Zephyr", "Zephyr"), ({"id": "Puck"}, "Puck")],
)
def test_openais_voices_are_spoken_by_geminis(voice: Any, gemini: str) -> None:
    config = body_for(voice=voice)["generationConfig"]["speechConfig"]
    assert config["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == gemini


def test_without_a_voice_one_is_chosen() -> None:
    assert body_for(voice=None) == body_for(voice="Kore")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": 5}, "input"),
        ({"model": None}, "model"),
        ({"model": "gemini-2.5-flash"}, "model"),
        ({"voice": "no such voice!"}, "voice"),
        ({"voice": {"id": 5}}, "voice.id"),
        ({"instructions": ["fast"]}, "instructions"),
        ({"speed": 1.5}, "speed"),
        ({"speed": 9}, "speed"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"response_format": "ogg"}, "response_format"),
    ],
)
def test_a_mistake_names_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
def test_a_compressed_format_is_refused_with_those_that_are_possible(form: str) -> None:
    error = refusal(response_format=form)

    assert error.param == "response_format"
    assert "wav or pcm" in str(error)


@given(
    JSON
    | objects("model", "input", "voice", "instructions", "response_format", "speed", "stream_format", of=NEAR)
    | objects("voice", "speed", "instructions", of=JSON).map(lambda fields: document(**fields))
)
def test_any_json_is_a_wish_or_a_clear_refusal(value: Any) -> None:
    wish = wish_of(lambda: parse(value))
    assert wish is None or isinstance(wish, Wish)


@needs_shared
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
def test_google_takes_every_body(text: str, style: str) -> None:
    wish = wish_of(lambda: parse(document(input=text, instructions=style)))
    if wish is not None:
        assert complaints(TTS, body(wish, resolve(TTS))) == []


def test_a_wav_file_holds_the_samples_as_they_came() -> None:
    data, mime = answer([sound(SAMPLES[:4]), sound(SAMPLES[4:])], bare=False)

    assert mime == "audio/wav"
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)
        assert file.readframes(100) == SAMPLES


def test_pcm_is_the_samples_alone() -> None:
    assert answer([sound(SAMPLES)], bare=True) == (SAMPLES, "audio/pcm")


def test_sound_of_another_kind_passes_as_what_it_is() -> None:
    assert answer([sound(b"RIFF....", "audio/wav")], bare=True) == (b"RIFF....", "audio/wav")


def gemini(*parts: dict[str, Any], finish: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": finish}]}


PART = {"inlineData": {"mimeType": PCM, "data": b64encode(SAMPLES).decode()}}


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (gemini(PART), Outcome.ANSWERED),
        (gemini(PART, finish="MAX_TOKENS"), Outcome.TRUNCATED),
        (gemini(PART, finish="SAFETY"), Outcome.BLOCKED),
        (gemini({"text": "Have a wonderful day!"}), Outcome.EMPTY),
        (gemini({"inlineData": {"mimeType": PCM, "data": "!"}}), Outcome.EMPTY),
        (gemini(finish="OTHER"), Outcome.EMPTY),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, Outcome.BLOCKED),
    ],
)
def test_only_sound_to_its_end_is_an_answer(event: dict[str, Any], outcome: Outcome) -> None:
    translator = WholeTranslator("audio")
    translator.feed(event)

    assert translator.outcome() is outcome
    assert translator.visible == (outcome is Outcome.ANSWERED)


@given(
    JSON | objects("candidates", "promptFeedback", "usageMetadata", of=JSON),
    st.sampled_from(["image", "audio", "text"]),
)
def test_any_answer_is_read_without_a_fault(event: Any, kind: Any) -> None:
    translator = WholeTranslator(kind)
    if isinstance(event, dict):
        translator.feed(event)
        assert (translator.outcome() is Outcome.ANSWERED) == translator.visible


@needs_shared
@pytest.mark.parametrize("name", names_of("generateContent", model="-tts"))
def test_recorded_sound_is_read(name: str) -> None:
    event = recorded(name)
    translator = WholeTranslator("audio")
    # The recording was shortened to a length that is no base64; whole groups of four are.
    media = event["candidates"][0]["content"]["parts"][0]["inlineData"]
    media["data"] = media["data"].partition("...")[0]
    media["data"] = media["data"][: len(media["data"]) // 4 * 4]

    data, mime = answer(translator.feed(event), bare=True)

    assert translator.visible
    assert (b64encode(data).decode(), mime) == (media["data"], "audio/pcm")
    assert translator.usage.total == event["usageMetadata"]["totalTokenCount"]
