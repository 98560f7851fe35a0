"""Images through the door: the stock SDK, Gemini's image models and Imagen, and what is said when there is none."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.gemini import answer, blocked, error, picture, predictions, withheld
from tests.gemini.calls import Call
from tests.gemini.making import png
from tests.service.houses import House, house, keys
from tests.service.sdk import client_of

GEMINI, IMAGEN = "gemini-2.5-flash-image", "imagen-4.0-generate-001"
CAT = "a siamese cat"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 3, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1}
    with house(tmp_path_factory.mktemp("images"), GEMINI_API_KEYS=keys(3), **environment) as started:
        yield started


@pytest.fixture
def stage(running: House) -> House:
    return running.clear()


@pytest.fixture
def client(stage: House) -> Iterator[OpenAI]:
    with client_of(stage) as client:
        yield client


def asked(stage: House) -> list[Call]:
    return [call for call in stage.gemini.calls if call.method in ("generateContent", "predict")]


def pictures(found: Any) -> list[bytes]:
    return [b64decode(image.b64_json) for image in found.data]


@pytest.mark.parametrize("model", [GEMINI, IMAGEN, "gemini-3.1-flash-lite-image"])
def test_the_sdk_gets_an_image_in_base64(stage: House, client: OpenAI, model: str) -> None:
    found = client.images.generate(model=model, prompt=CAT, size="1536x1024", quality="high", user="me")

    assert pictures(found) == [png(CAT)]
    assert found.output_format == "png"
    assert len(asked(stage)) == 1


def test_an_address_is_a_data_url(stage: House, client: OpenAI) -> None:
    found = client.images.generate(model=GEMINI, prompt=CAT, response_format="url")

    assert found.data is not None
    assert found.data[0].url == "data:image/png;base64," + b64encode(png(CAT)).decode()
    assert found.data[0].b64_json is None


@pytest.mark.parametrize("model", [GEMINI, IMAGEN])
def test_several_images_are_several_requests_with_keys_of_their_own(stage: House, client: OpenAI, model: str) -> None:
    raw = client.images.with_raw_response.generate(model=model, prompt=CAT, n=3)

    assert pictures(raw.parse()) == [png(CAT)] * 3
    assert len({call.key for call in asked(stage)}) == 3
    assert [row["outcome"] for row in stage.attempts(raw.headers["x-request-id"])] == ["answered"] * 3


def test_tokens_are_told_and_written_down(stage: House, client: OpenAI) -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 1290, "totalTokenCount": 1295}
    stage.gemini.replies(picture(CAT, usage=usage))

    raw = client.images.with_raw_response.generate(model=GEMINI, prompt=CAT)

    told = raw.parse().usage
    assert told is not None
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (5, 1290, 1295)
    assert stage.log(raw.headers["x-request-id"])["completion_tokens"] == 1290


def test_another_key_answers_when_one_is_refused_or_only_words_came(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(error("overloaded"), answer("Sure, a cat!"), picture(CAT, "Here it is."))

    assert pictures(client.images.generate(model=GEMINI, prompt=CAT)) == [png(CAT)]
    assert stage.gemini.unread == 0


def test_a_model_that_only_talks_is_quoted(stage: House, client: OpenAI) -> None:
    stage.gemini.always(answer("I can not draw real people."))

    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(model=GEMINI, prompt=CAT)

    assert (caught.value.status_code, caught.value.code) == (502, "empty_answer")
    assert 'it said: "I can not draw real people."' in str(caught.value)
    assert "real people" not in caught.value.response.reason_phrase


@pytest.mark.parametrize(
    ("model", "reply", "words"),
    [
        (GEMINI, withheld("IMAGE_SAFETY"), "IMAGE_SAFETY"),
        (GEMINI, blocked("PROHIBITED_CONTENT"), "PROHIBITED_CONTENT"),
        (IMAGEN, predictions(filtered="It shows a famous person."), "It shows a famous person."),
        (IMAGEN, predictions(), "all images were filtered"),
    ],
)
def test_a_withheld_image_is_told_with_its_reason_after_one_attempt(
    stage: House, client: OpenAI, model: str, reply: Any, words: str
) -> None:
    stage.gemini.always(reply)

    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model=model, prompt=CAT)

    assert caught.value.code == "content_filter"
    assert words in str(caught.value)
    assert len(asked(stage)) == 1


def test_of_several_images_those_come_that_google_lets_through(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(predictions(filtered="no"))

    found = client.images.generate(model=IMAGEN, prompt=CAT, n=2)

    assert pictures(found) == [png(CAT)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"size": "large"}, "size"),
        ({"n": 11}, "n"),
        ({"output_format": "webp"}, "output_format"),
        ({"stream": True}, "stream"),
        ({"model": "gemini-2.5-flash"}, "model"),
    ],
)
def test_bad_input_is_told_with_its_place_and_goes_nowhere(
    stage: House, client: OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"model": GEMINI, "prompt": CAT, **fields})

    assert caught.value.param == param
    assert asked(stage) == []


@pytest.mark.parametrize("model", ["dall-e-3", "imagen-9.0", "veo-3.1-generate-preview"])
def test_a_model_that_draws_nothing_here_is_refused(stage: House, client: OpenAI, model: str) -> None:
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as caught:
        client.images.generate(model=model, prompt=CAT)

    assert caught.value.param == "model"
    assert asked(stage) == []
