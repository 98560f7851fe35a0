"""Speech and transcriptions through the door: the stock SDK, forms of every kind, and what is refused."""

from __future__ import annotations

import io
import wave
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI

from tests.gemini import answer, empty, error, sound, truncated, withheld
from tests.gemini.making import samples
from tests.service.houses import House, house, keys
from tests.service.sdk import client_of

TTS, EARS = "gemini-2.5-flash-preview-tts", "gemini-2.5-flash"
TEXT = "Have a wonderful day!"
WAV = ("speech.wav", b"RIFF....WAVE" * 1000)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 3, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1, "MAX_BODY_MB": 1}
    with house(tmp_path_factory.mktemp("audio"), GEMINI_API_KEYS=keys(3), **environment) as started:
        yield started


@pytest.fixture
def stage(running: House) -> House:
    return running.clear()


@pytest.fixture
def client(stage: House) -> Iterator[OpenAI]:
    with client_of(stage) as client:
        yield client


# Speech


def test_the_sdk_gets_a_wav_file(stage: House, client: OpenAI) -> None:
    raw = client.audio.speech.with_raw_response.create(model=TTS, voice="alloy", input=TEXT)

    assert raw.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(raw.content)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)
        assert file.readframes(1000) == samples(TEXT)
    [body] = stage.gemini.bodies
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    assert body["generationConfig"] == {"responseModalities": ["AUDIO"], "speechConfig": voice}
    assert body["contents"] == [{"role": "user", "parts": [{"text": TEXT}]}]


def test_the_sdk_streams_pcm_into_a_file(stage: House, client: OpenAI) -> None:
    wishes: Any = {"model": TTS, "voice": "Puck", "input": TEXT, "response_format": "pcm", "instructions": "Say:"}
    with client.audio.speech.with_streaming_response.create(**wishes) as response:
        data = b"".join(response.iter_bytes())

    assert response.headers["content-type"] == "audio/pcm"
    assert data == samples(f"Say:\n{TEXT}")


def test_another_key_speaks_when_one_is_refused_or_only_words_came(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(error("internal"), answer("Have a"), sound("abc"))

    assert client.audio.speech.create(model=TTS, voice="Kore", input=TEXT, response_format="pcm").content == samples(
        "abc"
    )
    assert stage.gemini.unread == 0


@pytest.mark.parametrize(
    ("reply", "status", "code", "words"),
    [
        (empty("OTHER"), 502, "empty_answer", "made no sound, 2 times"),
        (sound("abc", finish="MAX_TOKENS"), 502, "answer_truncated", "send less text"),
        (withheld("PROHIBITED_CONTENT"), 400, "content_filter", "PROHIBITED_CONTENT"),
    ],
)
def test_why_there_is_no_sound_is_told(
    stage: House, client: OpenAI, reply: Any, status: int, code: str, words: str
) -> None:
    stage.gemini.always(reply)

    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.speech.create(model=TTS, voice="Kore", input=TEXT)

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "mp3"}, "response_format"),
        ({"speed": 2.0}, "speed"),
        ({"input": ""}, "input"),
        ({"voice": "no voice!"}, "voice"),
        ({"model": EARS}, "model"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
def test_bad_wishes_for_speech_are_told_with_their_place_and_go_nowhere(
    stage: House, client: OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": TTS, "voice": "Kore", "input": TEXT, **fields})

    assert caught.value.param == param
    assert stage.gemini.generated == []


# Transcriptions


def test_the_sdk_gets_what_was_said(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(answer("Have a wonderful day!\n"))

    found = client.audio.transcriptions.create(model=EARS, file=WAV, language="en", prompt="Sylt", temperature=0.1)

    assert found.text == TEXT
    [body] = stage.gemini.bodies
    recording, asked = body["contents"][0]["parts"]
    assert recording == {"inlineData": {"mimeType": "audio/wav", "data": b64encode(WAV[1]).decode()}}
    assert "Sylt" in asked["text"]
    assert body["generationConfig"] == {"temperature": 0.1, "thinkingConfig": {"thinkingBudget": 0}}


def test_a_transcript_may_be_plain_text(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(answer("Grüße aus Sylt."))

    found: Any = client.audio.transcriptions.create(model=EARS, file=WAV, response_format="text")

    assert found == "Grüße aus Sylt."


def test_a_translation_is_asked_for_in_english(stage: House) -> None:
    stage.gemini.replies(answer("Greetings from Sylt."))

    with stage.server.client() as client:
        found = client.post("/v1/audio/translations", data={"model": EARS}, files={"file": WAV})

    assert found.json()["text"] == "Greetings from Sylt."
    assert "into English" in stage.gemini.bodies[0]["contents"][0]["parts"][1]["text"]


def test_silence_is_an_empty_text(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(answer("[nobody speaks]"))
    assert client.audio.transcriptions.create(model=EARS, file=WAV).text == ""


def test_a_form_whose_length_is_not_told_is_read_as_well(stage: House) -> None:
    form = httpx.Request("POST", "http://x", data={"model": EARS}, files={"file": WAV})
    pieces = iter([form.read()])
    stage.gemini.replies(answer("Hello."))

    with stage.server.client() as client:
        kind = {"content-type": form.headers["content-type"]}
        found = client.post("/v1/audio/transcriptions", content=pieces, headers=kind)

    assert found.json()["text"] == "Hello."


def test_a_transcript_that_was_cut_is_refused(stage: House, client: OpenAI) -> None:
    stage.gemini.always(withheld("MAX_TOKENS", "Have a"))

    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model=EARS, file=WAV)

    assert caught.value.code == "answer_truncated"
    assert "shorter recording" in str(caught.value)


def test_an_empty_answer_is_tried_again(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(empty(), answer("Hello."))
    assert client.audio.transcriptions.create(model=EARS, file=WAV).text == "Hello."


def test_thoughts_alone_are_told(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(truncated())

    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model=EARS, file=WAV)

    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "srt"}, "response_format"),
        ({"response_format": "verbose_json"}, "response_format"),
        ({"model": TTS}, "model"),
        ({"language": "tell me a joke!"}, "language"),
        ({"file": ("a.png", b"1234")}, "file"),
        ({"file": ("a.wav", b"")}, "file"),
        ({"temperature": 7}, "temperature"),
        ({"stream": True}, "stream"),
    ],
)
def test_bad_forms_are_told_with_their_place_and_go_nowhere(
    stage: House, client: OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**{"model": EARS, "file": WAV, **fields})

    assert caught.value.param == param
    assert stage.gemini.generated == []


def test_a_large_recording_is_refused_readably(stage: House, client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model=EARS, file=("a.wav", b"x" * 2**20))

    assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")


def test_what_is_no_form_is_refused(stage: House) -> None:
    with stage.server.client() as client:
        as_json = client.post("/v1/audio/transcriptions", json={"model": EARS})
        without_file = client.post("/v1/audio/transcriptions", files={"model": (None, EARS)})

    assert (as_json.status_code, without_file.status_code) == (400, 400)
    assert "multipart/form-data" in as_json.json()["error"]["message"]
    assert without_file.json()["error"]["param"] == "file"


KINDS = st.sampled_from(
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=XX",
        "multipart/form-data; boundary*=nowhere''XX",
        'multipart/form-data; boundary="X; charset=klingon',
        "Multipart/Form-Data; boundary=XX; charset=klingon",
    ]
)
LINES = st.sampled_from(
    [
        b"--XX",
        b"--XX--",
        b"",
        b"file",
        b'Content-Disposition: form-data; name="file"; filename="a.wav"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=klingon''%ff",
        b'Content-Disposition: form-data; name="model"',
        b"Content-Transfer-Encoding: base64",
        b"Content-Type: audio/wav; charset=\xff",
        b"Content-Length: many",
        b"\x00\xff",
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KINDS, st.lists(LINES, max_size=12).map(b"\r\n".join) | st.binary(max_size=60))
def test_any_form_is_answered_or_refused_as_the_clients_mistake(running: House, kind: str, body: bytes) -> None:
    with running.server.client() as client:
        found = client.post("/v1/audio/transcriptions", content=body, headers={"content-type": kind})

    assert found.status_code == 400, found.text
