"""Answers in JSON, images and sound: what clients ask for, and what goes to the wire."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from proxy.translation.structured import IN_WORDS, IN_WORDS_WITH_TOOLS, OF_THIS_SCHEMA
from proxy.translation.turns import Voice

PRO, FLASH_3, GEMMA_3 = "gemini-2.5-pro", "gemini-3-flash-preview", "gemma-3-27b-it"
IMAGE, NEW_IMAGE, TTS = "gemini-2.5-flash-image", "gemini-3-pro-image-preview", "gemini-2.5-flash-preview-tts"
HI = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind."}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
JSON = {"response_format": {"type": "json_object"}}
SHAPED = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def read(**fields: Any) -> Chat:
    return parse({"model": PRO, "messages": [SYSTEM, HI], **fields})


def body(model: str = PRO, options: Options | None = None, **fields: Any) -> dict[str, Any]:
    return build(read(model=model, **fields), resolve(model), options or Options())


def config(model: str = PRO, **fields: Any) -> dict[str, Any]:
    sent = body(model, **fields).get("generationConfig", {})
    return {name: value for name, value in sent.items() if name != "thinkingConfig"}


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        body(fields.pop("model", PRO), **fields)
    return caught.value


def instruction(sent: dict[str, Any]) -> list[str]:
    return [part["text"] for part in sent["systemInstruction"]["parts"]]


@pytest.mark.parametrize(
    ("form", "read_as"),
    [
        (None, (False, None)),
        ({"type": "text"}, (False, None)),
        ({"type": "json_object"}, (True, None)),
        ({"type": "json_object", "schema": SCHEMA}, (True, SCHEMA)),
        (SHAPED["response_format"], (True, SCHEMA)),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, (True, None)),
    ],
)
def test_response_formats_are_read(form: Any, read_as: Any) -> None:
    chat = read(response_format=form)

    assert (chat.json_mode, chat.json_schema) == read_as


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("json", "response_format"),
        ({"type": "xml"}, "response_format.type"),
        ({"type": 5}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": []}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": "x"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}, "response_format.json_schema.schema"),
        ({"type": "json_object", "schema": []}, "response_format.schema"),
    ],
)
def test_a_mistake_in_the_response_format_is_named_by_its_place(form: Any, param: str) -> None:
    assert refusal(response_format=form).param == param


def test_json_is_asked_for_by_its_fields() -> None:
    assert config(**JSON) == {"responseMimeType": "application/json"}
    assert config(**SHAPED) == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert config("gemini-2.0-flash", **SHAPED)["responseJsonSchema"] == SCHEMA
    assert config("gemini-1.5-pro", **SHAPED) == {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
    }


def test_json_goes_with_functions_and_search_from_3_on() -> None:
    sent = body(FLASH_3, tools=TOOLS, web_search_options={}, **SHAPED)

    assert sent["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert len(sent["tools"]) == 2


@pytest.mark.parametrize(
    ("fields", "words"), [({"tools": TOOLS}, IN_WORDS_WITH_TOOLS), ({"web_search_options": {}}, IN_WORDS)]
)
def test_json_beside_tools_is_asked_for_in_words_before_3(fields: dict[str, Any], words: str) -> None:
    shaped, free = body(**fields, **SHAPED), body(**fields, **JSON)

    assert not {"responseMimeType", "responseJsonSchema"} & shaped["generationConfig"].keys()
    assert instruction(shaped) == ["Be kind.", f"{words} {OF_THIS_SCHEMA}\n{orjson.dumps(SCHEMA).decode()}"]
    assert instruction(free) == ["Be kind.", words]


def test_json_is_asked_for_by_its_fields_where_no_function_may_be_called() -> None:
    sent = body(tools=TOOLS, tool_choice="none", **SHAPED)

    assert "tools" not in sent
    assert sent["generationConfig"]["responseJsonSchema"] == SCHEMA


@pytest.mark.parametrize("model", [GEMMA_3, "gemma-4-31b-it", IMAGE])
def test_models_without_json_are_asked_in_words(model: str) -> None:
    sent = body(model, **JSON)

    assert "responseMimeType" not in sent.get("generationConfig", {})
    assert sent["contents"][-1]["parts"][-1] == {"text": IN_WORDS}


def test_words_stand_with_the_user_where_the_instruction_is_cached() -> None:
    cached = {"cached_content": "cachedContents/a"}

    assert config(**cached, **JSON) == {"responseMimeType": "application/json"}
    sent = body(GEMMA_3, **cached, **JSON)
    assert "systemInstruction" not in sent
    assert sent["contents"][-1]["parts"][-1] == {"text": IN_WORDS}


@pytest.mark.parametrize(
    ("modalities", "read_as"),
    [
        (None, ()),
        ([], ()),
        (["text"], ("text",)),
        (["TEXT", "Image", "text"], ("text", "image")),
        (["audio"], ("audio",)),
    ],
)
def test_modalities_are_read(modalities: Any, read_as: Any) -> None:
    assert read(modalities=modalities).modalities == read_as


@pytest.mark.parametrize(
    ("audio", "voice"),
    [
        (None, None),
        ({}, Voice("Kore", "wav")),
        ({"voice": "alloy", "format": "wav"}, Voice("Kore", "wav")),
        ({"voice": "Shimmer", "format": "pcm16"}, Voice("Zephyr", "pcm16")),
        ({"voice": "puck", "format": "PCM"}, Voice("Puck", "pcm16")),
        ({"voice": "Vindemiatrix"}, Voice("Vindemiatrix", "wav")),
        ({"voice": "Newcomer"}, Voice("Newcomer", "wav")),
    ],
)
def test_voices_are_read_in_both_houses_names(audio: Any, voice: Any) -> None:
    assert read(audio=audio).voice == voice


IMAGE_CONFIG = {"aspectRatio": "16:9", "imageSize": "2K"}


@pytest.mark.parametrize(
    "fields",
    [
        {"image_config": {"aspect_ratio": "16:9", "image_size": "2k"}},
        {"google": {"imageConfig": IMAGE_CONFIG}},
        {"extra_body": {"google": {"image_config": IMAGE_CONFIG}}},
        {"extra_body": {"image_config": IMAGE_CONFIG}},
    ],
)
def test_image_config_is_found_wherever_a_client_puts_it(fields: dict[str, Any]) -> None:
    assert read(**fields).image_config == IMAGE_CONFIG


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"modalities": "text"}, "modalities"),
        ({"modalities": ["text", "smell"]}, "modalities[1]"),
        ({"modalities": [5]}, "modalities[0]"),
        ({"audio": "alloy"}, "audio"),
        ({"audio": {"voice": 5}}, "audio.voice"),
        ({"audio": {"voice": "a b"}}, "audio.voice"),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio.format"),
        ({"image_config": 5}, "image_config"),
        ({"image_config": {"aspect_ratio": "wide"}}, "image_config.aspect_ratio"),
        ({"extra_body": {"google": {"image_config": {"imageSize": "8K"}}}}, "extra_body.google.image_config.imageSize"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["image"]}, "modalities"),
        ({"modalities": ["audio"], "model": IMAGE}, "modalities"),
        ({"modalities": ["image"], "model": TTS}, "modalities"),
    ],
)
def test_a_mistake_in_what_an_answer_is_made_of_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


def test_image_models_answer_with_text_and_images() -> None:
    assert config(IMAGE) == {"responseModalities": ["TEXT", "IMAGE"]}
    assert config(IMAGE, modalities=["text"]) == {"responseModalities": ["TEXT", "IMAGE"]}
    assert config(IMAGE, modalities=["image"]) == {"responseModalities": ["IMAGE"]}
    assert config(IMAGE, image_config=IMAGE_CONFIG)["imageConfig"] == {"aspectRatio": "16:9"}
    assert config(NEW_IMAGE, image_config=IMAGE_CONFIG)["imageConfig"] == IMAGE_CONFIG
    assert "imageConfig" not in config(PRO, image_config=IMAGE_CONFIG)


def test_speech_models_answer_with_sound() -> None:
    sent = body(TTS, options=Options(random_string="x1Y2z"), modalities=["text", "audio"], audio={"voice": "nova"})

    assert sent["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Leda"}}},
    }
    assert "x1Y2z" not in str(sent)
    assert config(TTS)["speechConfig"]["voiceConfig"] == {"prebuiltVoiceConfig": {"voiceName": "Kore"}}
