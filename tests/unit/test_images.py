"""OpenAI's images as Gemini's image models and Imagen are asked for them, and the images back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.deltas import MediaDelta
from proxy.translation.images import PredictTranslator, Wish, answer, body, is_imagen, parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.usage import Usage
from proxy.translation.whole import WholeTranslator
from tests.anything import JSON, NEAR, objects
from tests.oracle import complaints
from tests.shared import needs_shared
from tests.wishes import names_of, recorded, wish_of

NANO, PRO, LITE = "gemini-2.5-flash-image", "gemini-3-pro-image-preview", "gemini-3.1-flash-lite-image"
IMAGEN, FAST = "imagen-4.0-generate-001", "imagen-4.0-fast-generate-001"
PNG = "iVBORw0KGgo="


def document(**fields: Any) -> dict[str, Any]:
    return {"model": NANO, "prompt": "a siamese cat", **fields}


def body_for(**fields: Any) -> dict[str, Any]:
    wish = parse(document(**fields))
    return body(wish, resolve(wish.model))


def config_for(**fields: Any) -> Any:
    return body_for(**fields)["generationConfig"].get("imageConfig")


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        body_for(**fields)
    return caught.value


def test_a_gemini_model_is_asked_for_text_and_image() -> None:
    found = body_for(size="1024x1024", quality="hd", style="vivid", user="me", moderation="low", n=3)

    assert found["contents"] == [{"role": "user", "parts": [{"text": "a siamese cat"}]}]
    assert found["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "1:1"},
    }


def test_imagen_is_asked_for_one_image_and_for_why_there_is_none() -> None:
    assert body_for(model=IMAGEN, n=3, size="1792x1024", output_format="jpeg") == {
        "instances": [{"prompt": "a siamese cat"}],
        "parameters": {
            "sampleCount": 1,
            "aspectRatio": "16:9",
            "includeRaiReason": True,
            "outputOptions": {"mimeType": "image/jpeg"},
        },
    }


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ("256x256", "1:1"),
        ("1536x1024", "3:2"),
        ("1024x1536", "2:3"),
        ("1792x1024", "16:9"),
        ("1024x1792", "9:16"),
        ("1280x960", "4:3"),
        ("3000x1000", "21:9"),
        ("10x99999", "9:16"),
        (" 1024X1280 ", "4:5"),
        ("4:1", "4:1"),
    ],
)
def test_a_size_becomes_the_nearest_shape(size: str, ratio: str) -> None:
    assert config_for(size=size)["aspectRatio"] == ratio


@pytest.mark.parametrize("size", ["auto", None, ""])
def test_without_a_size_the_model_chooses(size: str | None) -> None:
    assert config_for(size=size) is None


@pytest.mark.parametrize(
    ("model", "size", "larger"),
    [
        (PRO, "1920x1080", None),
        (PRO, "2048x2048", "2K"),
        (PRO, "3840x2160", "4K"),
        (NANO, "4096x4096", None),
        (IMAGEN, "2048x1536", "2K"),
        (IMAGEN, "4096x4096", "2K"),
        (FAST, "4096x4096", None),
    ],
)
def test_large_sizes_are_asked_of_models_that_make_them(model: str, size: str, larger: str | None) -> None:
    found = body_for(model=model, size=size)

    if is_imagen(resolve(model)):
        assert found["parameters"].get("sampleImageSize") == larger
    else:
        assert found["generationConfig"]["imageConfig"].get("imageSize") == larger


def test_googles_own_image_config_wins() -> None:
    google = {"image_config": {"aspect_ratio": "8:1", "image_size": "4k"}}

    assert config_for(model=PRO, size="1024x1024", google=google) == {"aspectRatio": "8:1", "imageSize": "4K"}
    assert config_for(model=PRO, size="4096x2304", image_config={"imageSize": "1K"}) == {
        "aspectRatio": "16:9",
        "imageSize": "1K",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a cat"]}, "prompt"),
        ({"model": None}, "model"),
        ({"model": "gemini-2.5-flash"}, "model"),
        ({"model": "gemini-2.5-flash-preview-tts"}, "model"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "0x100"}, "size"),
        ({"size": 1024}, "size"),
        ({"response_format": "webp"}, "response_format"),
        ({"output_format": "webp"}, "output_format"),
        ({"background": "transparent"}, "background"),
        ({"stream": True}, "stream"),
        ({"image_config": {"image_size": "8K"}}, "image_config.image_size"),
    ],
)
def test_a_mistake_names_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


@given(
    JSON
    | objects("model", "prompt", "n", "size", "response_format", "output_format", "stream", "image_config", of=NEAR)
    | objects("size", "n", "background", "google", "extra_body", of=JSON).map(lambda fields: document(**fields))
)
def test_any_json_is_a_wish_or_a_clear_refusal(value: Any) -> None:
    wish = wish_of(lambda: parse(value))
    assert wish is None or isinstance(wish, Wish)


@needs_shared
@pytest.mark.parametrize("model", [NANO, PRO, LITE, IMAGEN, FAST, "gemini-2.0-flash-preview-image-generation"])
@given(
    prompt=st.text(st.characters(codec="utf-8"), min_size=1),
    rest=st.fixed_dictionaries(
        {},
        optional={
            "size": st.from_regex(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}", fullmatch=True) | st.just("auto"),
            "n": st.integers(1, 10),
            "output_format": st.sampled_from(["png", "jpeg"]),
        },
    ),
)
def test_google_takes_every_body(model: str, prompt: str, rest: dict[str, Any]) -> None:
    wish = wish_of(lambda: parse(document(model=model, prompt=prompt, **rest)))
    assert wish is not None
    method = "predict" if is_imagen(resolve(model)) else "generateContent"

    assert complaints(model, body(wish, resolve(model)), method=method) == []


def test_imagens_images_are_read_and_everything_else_passed_over() -> None:
    translator = PredictTranslator()
    rows = [{"bytesBase64Encoded": PNG, "mimeType": "image/png"}, {"raiFilteredReason": "no"}, {"safetyAttributes": {}}]

    assert translator.feed({"predictions": rows}) == [MediaDelta("image/png", PNG)]
    assert (translator.visible, translator.outcome(), translator.category) == (True, Outcome.ANSWERED, "")


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ({"predictions": [{"raiFilteredReason": "It shows a person. "}]}, "It shows a person"),
        ({"predictions": []}, "all images were filtered"),
        ({}, "all images were filtered"),
        ({"predictions": [None, {"bytesBase64Encoded": 5}]}, "all images were filtered"),
    ],
)
def test_withheld_images_are_a_block_with_its_reason(event: dict[str, Any], category: str) -> None:
    translator = PredictTranslator()

    assert translator.feed(event) == []
    assert (translator.visible, translator.outcome(), translator.category) == (False, Outcome.BLOCKED, category)


@given(JSON | objects("predictions", of=st.lists(objects("bytesBase64Encoded", "raiFilteredReason", of=NEAR))))
def test_any_answer_of_imagen_is_read_without_a_fault(event: Any) -> None:
    translator = PredictTranslator()
    assert bool(translator.feed(event)) == translator.visible


def gemini(*parts: dict[str, Any], finish: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": finish}]}


IMAGE = {"inlineData": {"mimeType": "image/jpeg", "data": PNG}}


def test_an_answer_with_an_image_counts_and_one_of_words_alone_does_not() -> None:
    words: list[str] = []
    with_image, without = WholeTranslator("image"), WholeTranslator("image", words)

    with_image.feed(gemini({"text": "Here it is."}, IMAGE, finish="MAX_TOKENS"))
    without.feed(gemini({"text": "I would "}, {"text": "rather not."}))

    assert (with_image.visible, with_image.outcome()) == (True, Outcome.ANSWERED)
    assert (without.visible, without.outcome(), "".join(words)) == (False, Outcome.EMPTY, "I would rather not.")


@pytest.mark.parametrize("reason", ["IMAGE_SAFETY", "NO_IMAGE", "PROHIBITED_CONTENT"])
def test_an_image_that_was_withheld_is_a_block(reason: str) -> None:
    translator = WholeTranslator("image")
    translator.feed(gemini(finish=reason))

    assert (translator.visible, translator.outcome(), translator.category) == (False, Outcome.BLOCKED, reason)


def test_the_answer_has_images_in_base64_with_their_format_and_tokens() -> None:
    found = answer([MediaDelta("image/jpeg", PNG)], Usage(prompt=5, completion=9, total=14), parse(document()), 17)

    assert found["created"] == 17
    assert found["data"] == [{"b64_json": PNG}]
    assert found["output_format"] == "jpeg"
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"], found["usage"]["total_tokens"]) == (
        5,
        9,
        14,
    )


def test_an_address_is_a_data_url_and_tokens_nobody_counted_are_left_out() -> None:
    wish = parse(document(response_format="url"))
    found = answer([MediaDelta("image/png", PNG)], Usage(), wish, 17)

    assert found["data"] == [{"url": f"data:image/png;base64,{PNG}"}]
    assert "usage" not in found


@needs_shared
@pytest.mark.parametrize("name", names_of("generateContent", "response-only", model="image"))
def test_recorded_images_of_gemini_are_read(name: str) -> None:
    event = recorded(name)
    parts = [part for candidate in event["candidates"] for part in candidate["content"].get("parts", [])]
    images = [part["inlineData"] for part in parts if "inlineData" in part and not part.get("thought")]
    translator = WholeTranslator("image")

    found = answer(translator.feed(event), translator.usage, parse(document()), 1)

    assert translator.visible == bool(images)
    assert [row["b64_json"] for row in found["data"]] == [image["data"] for image in images]
    assert images == [] or found["usage"]["total_tokens"] == event["usageMetadata"]["totalTokenCount"]


@needs_shared
@pytest.mark.parametrize("name", names_of("predict", model="imagen"))
def test_recorded_images_of_imagen_are_read(name: str) -> None:
    event = recorded(name)
    translator = PredictTranslator()

    found = answer(translator.feed(event), translator.usage, parse(document()), 1)

    images = [row["bytesBase64Encoded"] for row in event["predictions"] if "bytesBase64Encoded" in row]
    assert images
    assert [row["b64_json"] for row in found["data"]] == images
