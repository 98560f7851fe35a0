"""OpenAI's transcriptions and translations as Gemini is asked for them, and the text back."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.deltas import TextDelta
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.transcriptions import NOBODY, Upload, Wish, answer, body, parse, text_of
from proxy.translation.usage import Usage
from proxy.translation.whole import WholeTranslator
from tests.anything import TEXT
from tests.oracle import complaints
from tests.shared import needs_shared
from tests.wishes import names_of, recorded, wish_of

MODEL = "gemini-2.5-flash"
WAV = Upload("speech.wav", "audio/wav", b"RIFF....")


def body_for(upload: Upload | None = WAV, *, into_english: bool = False, **fields: str) -> dict[str, Any]:
    wish = parse({"model": MODEL, **fields}, upload, into_english=into_english)
    return body(wish, resolve(wish.model))


def parts_for(upload: Upload | None = WAV, **fields: Any) -> list[dict[str, Any]]:
    found = body_for(upload, **fields)
    parts: list[dict[str, Any]] = found["contents"][0]["parts"]
    return parts


def refusal(upload: Upload | None = WAV, **fields: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        body_for(upload, **fields)
    return caught.value


def test_the_recording_goes_with_what_to_do_with_it() -> None:
    sound, asked = parts_for()

    assert sound == {"inlineData": {"mimeType": "audio/wav", "data": b64encode(b"RIFF....").decode()}}
    assert "every word" in asked["text"]
    assert NOBODY in asked["text"]


def test_listening_takes_no_thoughts_unless_the_models_alias_asks_for_them() -> None:
    assert body_for()["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}
    thinking = body_for(model=f"{MODEL}-thinking-low", temperature="0.2")["generationConfig"]
    assert thinking == {"temperature": 0.2, "thinkingConfig": {"thinkingBudget": 1024}}


def test_language_and_prompt_are_told() -> None:
    asked = parts_for(language="de", prompt="Viktor, Sylter Deich")[1]["text"]

    assert "code de." in asked
    assert "Viktor, Sylter Deich" in asked


def test_a_translation_is_into_english() -> None:
    assert "into English" in parts_for(into_english=True)[1]["text"]


@pytest.mark.parametrize(
    ("name", "mime", "sent"),
    [
        ("a.mp3", "audio/mpeg", "audio/mpeg"),
        ("a.webm", "audio/webm;codecs=opus", "audio/webm"),
        ("a.webm", "video/webm", "video/webm"),
        ("a.MP3", "application/octet-stream", "audio/mp3"),
        ("a.mpga", "", "audio/mp3"),
        ("a b/c?.m4a", "", "audio/m4a"),
        ("a", "Audio/X-WAV", "audio/wav"),
        ("a.m4a", "audio/x-m4a", "audio/m4a"),
    ],
)
def test_the_kind_of_a_recording_is_told_by_its_type_or_its_name(name: str, mime: str, sent: str) -> None:
    assert parts_for(Upload(name, mime, b"1234"))[0]["inlineData"]["mimeType"] == sent


@pytest.mark.parametrize(
    ("upload", "fields", "param"),
    [
        (None, {}, "file"),
        (Upload("a.wav", "audio/wav", b""), {}, "file"),
        (Upload("a.png", "image/png", b"1234"), {}, "file"),
        (Upload("a.txt", "text/plain", b"1234"), {}, "file"),
        (Upload("a", "", b"1234"), {}, "file"),
        (WAV, {"model": ""}, "model"),
        (WAV, {"model": "gemini-2.5-flash-preview-tts"}, "model"),
        (WAV, {"model": "gemini-embedding-001"}, "model"),
        (WAV, {"language": "tell me a joke."}, "language"),
        (WAV, {"temperature": "warm"}, "temperature"),
        (WAV, {"temperature": "nan"}, "temperature"),
        (WAV, {"stream": "true"}, "stream"),
        (WAV, {"response_format": "vtt"}, "response_format"),
        (WAV, {"response_format": "srt"}, "response_format"),
        (WAV, {"response_format": "verbose_json"}, "response_format"),
        (WAV, {"response_format": "pdf"}, "response_format"),
    ],
)
def test_a_mistake_names_its_place(upload: Upload | None, fields: dict[str, str], param: str) -> None:
    assert refusal(upload, **fields).param == param


FIELDS = st.fixed_dictionaries(
    {"model": st.just(MODEL) | TEXT},
    optional=dict.fromkeys(("language", "prompt", "temperature", "response_format", "stream"), TEXT),
)
UPLOADS = st.builds(
    Upload, TEXT, st.sampled_from(["audio/wav", "", "audio/", "image/gif"]) | TEXT, st.binary(max_size=9)
)


@given(FIELDS, st.none() | UPLOADS, st.booleans())
def test_any_form_is_a_wish_or_a_clear_refusal(
    fields: dict[str, str], upload: Upload | None, into_english: bool
) -> None:
    wish = wish_of(lambda: parse(fields, upload, into_english=into_english))
    assert wish is None or isinstance(wish, Wish)


@needs_shared
@pytest.mark.parametrize("model", [MODEL, "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-flash-latest"])
@given(FIELDS, UPLOADS)
def test_google_takes_every_body(model: str, fields: dict[str, str], upload: Upload) -> None:
    wish = wish_of(lambda: parse({**fields, "model": model}, upload))
    if wish is not None:
        assert complaints(model, body(wish, resolve(model))) == []


@pytest.mark.parametrize(
    ("said", "text"), [(" Hello. \n", "Hello."), (NOBODY, ""), (f"{NOBODY}.\n", ""), (f"He said {NOBODY}", None)]
)
def test_silence_is_an_empty_transcript(said: str, text: str | None) -> None:
    assert text_of([TextDelta(said[:3]), TextDelta(said[3:])]) == (said if text is None else text)


def test_tokens_are_told_by_kind() -> None:
    usage = answer("Hi.", Usage(prompt=113, completion=10, total=123, prompt_audio=100))["usage"]

    assert usage == {
        "type": "tokens",
        "input_tokens": 113,
        "input_token_details": {"audio_tokens": 100, "text_tokens": 13},
        "output_tokens": 10,
        "total_tokens": 123,
    }
    assert answer("Hi.", Usage()) == {"text": "Hi."}


@pytest.mark.parametrize(
    ("finish", "outcome"),
    [("STOP", Outcome.ANSWERED), ("MAX_TOKENS", Outcome.TRUNCATED), ("RECITATION", Outcome.BLOCKED)],
)
def test_a_transcript_that_was_cut_is_no_answer(finish: str, outcome: Outcome) -> None:
    translator = WholeTranslator("text")
    translator.feed({"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": finish}]})

    assert (translator.outcome(), translator.visible) == (outcome, outcome is Outcome.ANSWERED)


@needs_shared
@pytest.mark.parametrize("name", [name for name in names_of("generateContent", model="") if "transcri" in name])
def test_a_recorded_transcript_is_read(name: str) -> None:
    event = recorded(name)
    translator = WholeTranslator("text")

    text = text_of(translator.feed(event))

    assert translator.visible
    assert text == event["candidates"][0]["content"]["parts"][0]["text"]
    assert answer(text, translator.usage)["usage"]["input_token_details"]["audio_tokens"] == 100
