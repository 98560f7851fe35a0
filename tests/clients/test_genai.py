"""google-genai, pointed at hajimi: Gemini's own dialect, plain and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from tests.gemini import answer, blocked, error
from tests.gemini.model import embedding
from tests.service.houses import House

pytest.importorskip("google.genai", reason="google-genai is not installed (requirements-slow.txt)")

from google import genai
from google.genai import errors, types

# The SDK's own affair.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODEL = "gemini-3-flash-preview"
TEXT = "Zwölf Boxkämpfer jagen Viktor."
CALL = {
    "functionCall": {"id": "a1", "name": "weather", "args": {"city": "Oslo"}},
    "thoughtSignature": "c2lnbmVk",
}


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}."


class Sum(BaseModel):
    total: int


def client_of(house: House, password: str | None = None, **options: Any) -> genai.Client:
    address = types.HttpOptions(base_url=house.server.base_url, **options)
    return genai.Client(api_key=password or house.server.password, http_options=address)


@pytest.fixture
def client(stage: House) -> Iterator[genai.Client]:
    with client_of(stage) as client:
        yield client


@pytest.fixture
async def aio(stage: House) -> AsyncIterator[Any]:
    with client_of(stage) as client:
        async with client.aio as aio:
            yield aio


# Answers


def test_it_generates(stage: House, client: genai.Client) -> None:
    stage.gemini.replies(answer(TEXT, thoughts="Hm.\n\n"))

    response = client.models.generate_content(model=MODEL, contents="Say it.")

    assert response.text == TEXT
    assert response.candidates is not None
    assert response.candidates[0].finish_reason == types.FinishReason.STOP
    assert response.model_version == MODEL
    assert response.usage_metadata is not None
    assert response.usage_metadata.total_token_count
    assert stage.gemini.bodies == [{"contents": [{"parts": [{"text": "Say it."}], "role": "user"}]}]


def test_its_settings_reach_gemini(stage: House, client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be kind.",
        temperature=0.5,
        max_output_tokens=2000,
        stop_sequences=["END"],
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True),
    )

    client.models.generate_content(model=MODEL, contents="Hi", config=config)

    [body] = stage.gemini.bodies
    assert body["systemInstruction"]["parts"] == [{"text": "Be kind."}]
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "maxOutputTokens": 2000,
        "stopSequences": ["END"],
        # As the SDK writes it; Google takes both cases.
        "thinkingConfig": {"include_thoughts": True, "thinking_level": "LOW"},
    }


def test_it_streams(stage: House, client: genai.Client) -> None:
    stage.gemini.replies(answer("one two three", thoughts="Hm.\n\n", chunks=3, delay=0.3))

    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Count"))

    assert len(chunks) == 4
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three"
    assert chunks[0].candidates[0].content.parts[0].thought is True  # type: ignore[index, union-attr]


def test_an_answer_is_parsed_into_a_model(stage: House, client: genai.Client) -> None:
    stage.gemini.replies('{"total": 42}')
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Sum)

    assert client.models.generate_content(model=MODEL, contents="6 times 7?", config=config).parsed == Sum(total=42)


async def test_it_generates_and_streams_asynchronously(stage: House, aio: Any) -> None:
    stage.gemini.always(answer("one two three", chunks=3))

    response = await aio.models.generate_content(model=MODEL, contents="Count")
    chunks = [chunk async for chunk in await aio.models.generate_content_stream(model=MODEL, contents="Count")]

    assert response.text == "one two three"
    assert "".join(chunk.text for chunk in chunks) == "one two three"


# Chats and functions

CONFIG = types.GenerateContentConfig(tools=[weather])


def assert_called(stage: House) -> None:
    """The function was declared and called, and its result and the signature went back."""
    first, second = stage.gemini.bodies
    assert first["tools"][0]["functionDeclarations"][0]["name"] == "weather"
    _user, called, answered = second["contents"]
    assert called["parts"] == [CALL]
    assert answered["parts"][0]["functionResponse"]["response"] == {"result": "Rain in Oslo."}


def test_a_chat_calls_functions_by_itself(stage: House, client: genai.Client) -> None:
    stage.gemini.replies(answer("", parts=(CALL,)), "It rains.")

    response = client.chats.create(model=MODEL, config=CONFIG).send_message("Weather in Oslo?")

    assert response.text == "It rains."
    assert_called(stage)


def test_a_streamed_chat_calls_functions_by_itself(stage: House, client: genai.Client) -> None:
    stage.gemini.replies(answer("", parts=(CALL,)), "It rains.")

    chunks = client.chats.create(model=MODEL, config=CONFIG).send_message_stream("Weather in Oslo?")

    assert "".join(chunk.text or "" for chunk in chunks if not chunk.function_calls) == "It rains."
    assert_called(stage)


async def test_an_async_chat_calls_functions_by_itself(stage: House, aio: Any) -> None:
    stage.gemini.replies(answer("", parts=(CALL,)), "It rains.")

    response = await aio.chats.create(model=MODEL, config=CONFIG).send_message("Weather in Oslo?")

    assert response.text == "It rains."
    assert_called(stage)


def test_a_chat_remembers(stage: House, client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)

    chat.send_message("One")
    response = chat.send_message("Two")

    assert response.text == "You said: Two"
    texts = [content["parts"][0]["text"] for content in stage.gemini.bodies[-1]["contents"]]
    assert texts == ["One", "You said: One", "Two"]


# Counts, vectors, models


def test_it_counts_tokens(client: genai.Client) -> None:
    assert client.models.count_tokens(model=MODEL, contents="x" * 400).total_tokens == 100


def test_it_embeds(client: genai.Client) -> None:
    found = client.models.embed_content(
        model="gemini-embedding-001",
        contents=["one", "two"],  # type: ignore[arg-type]
        config=types.EmbedContentConfig(output_dimensionality=32),
    ).embeddings

    assert [each.values for each in found or ()] == [
        pytest.approx(embedding({"parts": [{"text": text}]}, 32)) for text in ("one", "two")
    ]


async def test_it_counts_and_embeds_asynchronously(aio: Any) -> None:
    counted = await aio.models.count_tokens(model=MODEL, contents="x" * 400)
    embedded = await aio.models.embed_content(model="gemini-embedding-001", contents="one")

    assert counted.total_tokens == 100
    assert len(embedded.embeddings[0].values) == 768


def test_it_lists_models(client: genai.Client) -> None:
    models = {model.name: model for model in client.models.list()}

    assert models[f"models/{MODEL}"].display_name == "Gemini 3 Flash Preview"
    assert models[f"models/{MODEL}"].input_token_limit == 1_048_576
    assert "generateContent" in (models[f"models/{MODEL}"].supported_actions or [])


def test_it_lists_models_page_by_page(client: genai.Client) -> None:
    everything = [model.name for model in client.models.list()]

    pages = client.models.list(config=types.ListModelsConfig(page_size=3))

    assert [model.name for model in pages] == everything


def test_it_gets_a_model(client: genai.Client) -> None:
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"


async def test_it_lists_models_asynchronously(aio: Any) -> None:
    assert f"models/{MODEL}" in [model.name async for model in await aio.models.list()]


# Refusals


def refusal_of(client: genai.Client, kind: type[errors.APIError], model: str = MODEL) -> errors.APIError:
    with pytest.raises(kind) as caught:
        client.models.generate_content(model=model, contents="Hi")
    return caught.value


def test_a_wrong_password_is_a_client_error(stage: House) -> None:
    with client_of(stage, "not-the-password") as client:
        refused = refusal_of(client, errors.ClientError)

    assert (refused.code, refused.status) == (401, "UNAUTHENTICATED")
    assert "not-the-password" not in str(refused)


def test_an_unknown_model_is_not_found(client: genai.Client) -> None:
    refused = refusal_of(client, errors.ClientError, "gemini-9")

    assert (refused.code, refused.status) == (404, "NOT_FOUND")
    assert "gemini-9" in str(refused.message)


def test_resting_keys_are_resource_exhausted(stage: House, client: genai.Client) -> None:
    stage.gemini.always(error("per_minute", retry=41.0), model="gemini-2.0-flash-lite")

    refused = refusal_of(client, errors.ClientError, "gemini-2.0-flash-lite")

    assert (refused.code, refused.status) == (429, "RESOURCE_EXHAUSTED")


def test_a_failing_upstream_is_a_server_error(stage: House, client: genai.Client) -> None:
    stage.gemini.always(503, model="gemini-3.5-flash")

    refused = refusal_of(client, errors.ServerError, "gemini-3.5-flash")

    assert (refused.code, refused.status) == (503, "UNAVAILABLE")


def test_a_refused_stream_is_an_error_too(stage: House, client: genai.Client) -> None:
    stage.gemini.always(400, model=MODEL)

    with pytest.raises(errors.ClientError) as caught:
        list(client.models.generate_content_stream(model=MODEL, contents="Hi"))

    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


async def test_a_refusal_is_an_error_asynchronously_too(aio: Any) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await aio.models.generate_content(model="gemini-9", contents="Hi")

    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_a_blocked_prompt_is_answered_as_google_answers(stage: House, client: genai.Client) -> None:
    stage.gemini.replies(blocked("PROHIBITED_CONTENT"))

    response = client.models.generate_content(model=MODEL, contents="Hi")

    assert response.candidates is None
    assert response.prompt_feedback is not None
    assert response.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
