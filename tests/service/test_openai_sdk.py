"""The stock openai SDK, as people use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.gemini import answer, blocked, empty, error, reset
from tests.service.houses import House, house, keys

MODEL = "gemini-2.5-flash"
ASK: Any = [{"role": "user", "content": "Say it."}]
TEXT = "Zwölf Boxkämpfer jagen Viktor.\n\nÜber den großen Sylter Deich 🥊"


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 4, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1, "HEARTBEAT_SECONDS": 0.1}
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(3), **environment) as started:
        yield started


@pytest.fixture(scope="module")
def passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("passing-on"), FAKE_STREAMING=False, HEARTBEAT_SECONDS=0.1) as started:
        yield started


@pytest.fixture
def stage(collecting: House) -> House:
    return collecting.clear()


@pytest.fixture(params=["collecting", "passing_on"])
def either(request: pytest.FixtureRequest) -> House:
    """A house that collects streamed answers first, and one that passes them on."""
    return request.getfixturevalue(request.param).clear()


class Client(OpenAI):
    """The SDK's client with its own retries on, counting what it sends."""

    def __init__(self, house: House, password: str | None = None) -> None:
        self.sent: list[Any] = []
        http = openai.DefaultHttpxClient(trust_env=False, event_hooks={"request": [self.sent.append]})
        super().__init__(
            base_url=f"{house.server.base_url}/v1",
            api_key=password or house.server.password,
            http_client=http,
            timeout=20,
        )


@pytest.fixture
def client(stage: House) -> Iterator[Client]:
    with Client(stage) as client:
        yield client


@pytest.fixture
def either_client(either: House) -> Iterator[Client]:
    with Client(either) as client:
        yield client


@pytest.fixture
async def async_client(either: House) -> AsyncIterator[AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(
        base_url=f"{either.server.base_url}/v1", api_key=either.server.password, http_client=http
    ) as client:
        yield client


def refusal_of(client: Client, kind: type[openai.APIStatusError], **fields: Any) -> openai.APIStatusError:
    """Send a chat that must be refused, and check what is the same for every refusal."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": ASK, **fields})
    refused = caught.value
    assert isinstance(refused.body, dict)
    message = refused.body["message"]
    assert message
    assert message == " ".join(message.split())
    assert re.fullmatch(r"req_\w{13}", refused.request_id or "")
    assert re.fullmatch(r"[\x20-\x7e]{3,200}", refused.response.reason_phrase)
    assert len(client.sent) == 1, "the SDK tried again"
    return refused


# Answers


def test_it_chats(stage: House, client: Client) -> None:
    stage.gemini.replies(answer(TEXT, thoughts="Hm.\n\n"))

    completion = client.chat.completions.create(model=MODEL, messages=ASK)

    [choice] = completion.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == TEXT
    assert choice.message.model_extra == {"reasoning_content": "Hm.\n\n"}
    assert choice.finish_reason == "stop"
    assert completion.object == "chat.completion"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.completion_tokens_details is not None
    assert completion.usage.completion_tokens_details.reasoning_tokens
    assert stage.log(completion._request_id or "")["outcome"] == "answered"


def test_an_answer_carries_our_headers(stage: House, client: Client) -> None:
    headers = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK).headers

    assert re.fullmatch(r"req_\w{13}", headers["x-request-id"])
    assert headers["x-hajimi-attempts"] == "1"
    assert headers["x-ratelimit-limit-requests"] == "100000"
    assert int(headers["x-ratelimit-remaining-requests"]) < 100_000
    assert re.fullmatch(r"(\d+m)?(\d+s)?|\d+ms", headers["x-ratelimit-reset-requests"])


def test_it_streams(either: House, either_client: Client) -> None:
    either.gemini.replies(answer(TEXT, chunks=7, delay=0.02))

    chunks = list(either_client.chat.completions.create(model=MODEL, messages=ASK, stream=True))

    choices = [chunk.choices[0] for chunk in chunks]
    assert "".join(choice.delta.content or "" for choice in choices) == TEXT
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert choices[-1].finish_reason == "stop"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert all(chunk.usage is None for chunk in chunks)


def test_the_last_chunk_of_a_stream_has_the_usage_when_asked_for(either: House, either_client: Client) -> None:
    either.gemini.always(answer(TEXT, thoughts="Hm.\n\n"))
    whole = either_client.chat.completions.create(model=MODEL, messages=ASK)

    *chunks, last = either_client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
    )

    assert last.choices == []
    assert last.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks)


def test_thoughts_come_as_reasoning_content(either: House, either_client: Client) -> None:
    either.gemini.replies(answer("42", thoughts="Six times seven.\n\nThat is it."))

    chunks = list(either_client.chat.completions.create(model=MODEL, messages=ASK, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(thoughts) == "Six times seven.\n\nThat is it."
    assert "".join(delta.content or "" for delta in deltas) == "42"


def test_the_sdks_stream_helper_understands_a_stream(either: House, either_client: Client) -> None:
    either.gemini.replies(answer(TEXT, chunks=3))

    with either_client.chat.completions.stream(model=MODEL, messages=ASK) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()

    assert text == TEXT
    assert final.choices[0].message.content == TEXT


async def test_it_chats_asynchronously(either: House, async_client: AsyncOpenAI) -> None:
    either.gemini.replies(answer(TEXT))

    completion = await async_client.chat.completions.create(model=MODEL, messages=ASK)

    assert completion.choices[0].message.content == TEXT


async def test_it_streams_asynchronously(either: House, async_client: AsyncOpenAI) -> None:
    either.gemini.replies(answer(TEXT, chunks=5))

    stream = await async_client.chat.completions.create(model=MODEL, messages=ASK, stream=True)

    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT


def test_n_answers_come_as_n_choices(stage: House, client: Client) -> None:
    stage.gemini.replies("one", "two", "three")

    completion = client.chat.completions.create(model=MODEL, messages=ASK, n=3)

    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert {choice.message.content for choice in completion.choices} == {"one", "two", "three"}
    assert {choice.finish_reason for choice in completion.choices} == {"stop"}
    assert len(stage.gemini.generated) == 3


def test_n_answers_are_streamed_each_under_its_index(either: House, either_client: Client) -> None:
    either.gemini.replies("one two", "three four", "five six")
    texts, ends = {0: "", 1: "", 2: ""}, []

    for chunk in either_client.chat.completions.create(model=MODEL, messages=ASK, n=3, stream=True):
        [choice] = chunk.choices
        texts[choice.index] += choice.delta.content or ""
        ends += [choice.index] if choice.finish_reason else []

    assert set(texts.values()) == {"one two", "three four", "five six"}
    assert sorted(ends) == [0, 1, 2]


# Models


def test_it_lists_chat_models(client: Client) -> None:
    models = client.models.list().data

    assert MODEL in {model.id for model in models}
    assert {model.object for model in models} == {"model"}
    assert not [model.id for model in models if "embedding" in model.id or model.id in ("aqa",)]


def test_it_retrieves_a_model(client: Client) -> None:
    assert client.models.retrieve(MODEL).id == MODEL


def test_an_unknown_model_is_not_retrieved(client: Client) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")

    assert caught.value.code == "model_not_found"


# Refusals


def test_a_wrong_password_is_an_authentication_error(stage: House) -> None:
    with Client(stage, "not-the-password") as client:
        refused = refusal_of(client, openai.AuthenticationError)

    assert (refused.status_code, refused.code, refused.type) == (401, "invalid_api_key", "authentication_error")
    assert "not-the-password" not in refused.message


def test_an_unknown_model_is_not_found(stage: House, client: Client) -> None:
    refused = refusal_of(client, openai.NotFoundError, model="gpt-4o")

    assert (refused.code, refused.param) == ("model_not_found", "model")
    assert "gpt-4o" in refused.message
    assert stage.gemini.generated == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"n": 0}, "n"),
    ],
)
def test_a_mistake_is_a_bad_request_that_names_the_field(
    stage: House, client: Client, fields: dict[str, Any], param: str
) -> None:
    refused = refusal_of(client, openai.BadRequestError, **fields)

    assert (refused.type, refused.param) == ("invalid_request_error", param)
    assert stage.gemini.generated == []


def test_a_blocked_prompt_is_a_bad_request_that_names_the_category(stage: House, client: Client) -> None:
    stage.gemini.replies(blocked("PROHIBITED_CONTENT"))

    refused = refusal_of(client, openai.BadRequestError)

    assert refused.code == "content_filter"
    assert "PROHIBITED_CONTENT" in refused.message


def test_resting_keys_are_a_rate_limit_error_that_says_when_to_return(stage: House, client: Client) -> None:
    stage.gemini.always(error("per_minute", retry=41.0), model="gemini-2.0-flash-lite")

    refused = refusal_of(client, openai.RateLimitError, model="gemini-2.0-flash-lite")

    assert refused.code == "keys_resting"
    assert 35 <= int(refused.response.headers["retry-after"]) <= 42


def test_a_failing_upstream_is_a_503_that_the_sdk_does_not_repeat(stage: House, client: Client) -> None:
    stage.gemini.always(503, model="gemini-3.5-flash")

    refused = refusal_of(client, openai.InternalServerError, model="gemini-3.5-flash")

    assert (refused.status_code, refused.code) == (503, "upstream_unavailable")
    assert refused.response.headers["x-should-retry"] == "false"
    assert int(refused.response.headers["retry-after"]) >= 1
    assert len(stage.gemini.generated) == 4


@pytest.mark.daphne
def test_the_sentence_is_the_reason_phrase_too(stage: House, client: Client) -> None:
    stage.gemini.always(empty())

    refused = refusal_of(client, openai.InternalServerError)

    assert (refused.status_code, refused.code) == (502, "empty_answer")
    assert isinstance(refused.body, dict)
    assert refused.response.reason_phrase == refused.body["message"]


def test_a_refusal_of_a_stream_has_its_true_status(either: House, either_client: Client) -> None:
    either.gemini.replies(blocked("SAFETY"))

    refused = refusal_of(either_client, openai.BadRequestError, stream=True)

    assert refused.code == "content_filter"


def test_a_stream_that_breaks_off_raises_after_the_text_that_came(passing_on: House) -> None:
    passing_on.clear().gemini.replies(answer("one two three four", chunks=4, delay=0.02, fault=reset(2)))
    text = ""

    with Client(passing_on) as client, pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=MODEL, messages=ASK, stream=True):
            text += chunk.choices[0].delta.content or ""

    assert text
    assert "one two three four".startswith(text)
    assert caught.value.code == "answer_cut"
