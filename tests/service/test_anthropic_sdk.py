"""The stock anthropic SDK, as people use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.gemini import answer, blocked, error, reset, withheld
from tests.service.houses import House, house, keys

MODEL = "gemini-2.5-flash"
ASK: Any = [{"role": "user", "content": "Say it."}]
TEXT = "Zwölf Boxkämpfer jagen Viktor.\n\nÜber den großen Sylter Deich 🥊"
WEATHER: Any = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SIGNATURE = "c2lnbmF0dXJl"
CALL = {"functionCall": {"name": "weather", "args": {"city": "Ulm"}, "id": "call1"}, "thoughtSignature": SIGNATURE}
THINKING: Any = {"type": "enabled", "budget_tokens": 2048}


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 3, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1, "HEARTBEAT_SECONDS": 0.1}
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


class Client(Anthropic):
    """The SDK's client with its own retries on, counting what it sends."""

    def __init__(self, house: House, password: str | None = None) -> None:
        self.sent: list[Any] = []
        http = anthropic.DefaultHttpxClient(trust_env=False, event_hooks={"request": [self.sent.append]})
        super().__init__(
            base_url=house.server.base_url, api_key=password or house.server.password, http_client=http, timeout=20
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
async def async_client(either: House) -> AsyncIterator[AsyncAnthropic]:
    http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncAnthropic(
        base_url=either.server.base_url, api_key=either.server.password, http_client=http
    ) as client:
        yield client


def refusal_of(client: Client, kind: type[anthropic.APIStatusError], **fields: Any) -> anthropic.APIStatusError:
    """Send a message that must be refused, and check what is the same for every refusal."""
    with pytest.raises(kind) as caught:
        client.messages.create(**{"model": MODEL, "max_tokens": 100, "messages": ASK, **fields})
    refused = caught.value
    assert isinstance(refused.body, dict)
    assert refused.body["type"] == "error"
    assert refused.body["error"]["message"]
    assert re.fullmatch(r"req_\w{13}", refused.request_id or "")
    assert len(client.sent) == 1, "the SDK tried again"
    return refused


# Answers


def test_it_answers(stage: House, client: Client) -> None:
    stage.gemini.replies(answer(TEXT))

    message = client.messages.create(model=MODEL, max_tokens=100, messages=ASK, system="Be kind.")

    [block] = message.content
    assert block.type == "text"
    assert block.text == TEXT
    assert (message.role, message.model, message.stop_reason) == ("assistant", MODEL, "end_turn")
    assert message.usage.input_tokens
    assert message.usage.output_tokens
    assert re.fullmatch(r"req_\w{13}", message._request_id or "")
    [body] = stage.gemini.bodies
    assert body["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert stage.log(message._request_id or "")["dialect"] == "anthropic"


def test_it_streams(either: House, either_client: Client) -> None:
    either.gemini.replies(answer(TEXT, chunks=7, delay=0.02))

    with either_client.messages.stream(model=MODEL, max_tokens=100, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == TEXT
    assert final.content[0].to_dict()["text"] == TEXT
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens
    assert final.usage.output_tokens


def test_a_stream_says_the_same_as_a_whole_answer(either: House, either_client: Client) -> None:
    either.gemini.always(answer(TEXT, thoughts="Six times seven.\n\nThat is it.", chunks=3))
    asked: Any = {"model": MODEL, "max_tokens": 100, "messages": ASK, "thinking": THINKING}
    whole = either_client.messages.create(**asked)

    with either_client.messages.stream(**asked) as stream:
        final = stream.get_final_message()

    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in whole.content]
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert final.usage.to_dict() == whole.usage.to_dict()


def test_a_stream_tells_the_tokens_of_the_prompt_at_once(either: House, either_client: Client) -> None:
    first, *_, _stop = either_client.messages.create(model=MODEL, max_tokens=100, messages=ASK, stream=True)

    assert first.type == "message_start"
    assert first.message.usage.input_tokens


async def test_it_streams_asynchronously(either: House, async_client: AsyncAnthropic) -> None:
    either.gemini.replies(answer(TEXT, chunks=5))

    async with async_client.messages.stream(model=MODEL, max_tokens=100, messages=ASK) as stream:
        text = "".join([piece async for piece in stream.text_stream])

    assert text == TEXT


def test_thinking_is_not_shown_unasked(stage: House, client: Client) -> None:
    message = client.messages.create(model=MODEL, max_tokens=100, messages=ASK)

    [body] = stage.gemini.bodies
    assert [block.type for block in message.content] == ["text"]
    assert not body["generationConfig"].get("thinkingConfig", {}).get("includeThoughts")


def test_heartbeats_are_pings(stage: House) -> None:
    stage.gemini.replies(answer("pong", before=1.6))

    with stage.server.client() as client:
        asked = {"model": MODEL, "max_tokens": 100, "messages": ASK, "stream": True}
        data = client.post("/v1/messages", json=asked).text

    assert data.startswith('event: ping\ndata: {"type": "ping"}\n\n')
    assert "event: message_stop" in data


def test_the_sdk_does_not_mind_pings(stage: House, client: Client) -> None:
    stage.gemini.replies(answer("pong", before=1.6))

    with client.messages.stream(model=MODEL, max_tokens=100, messages=ASK) as stream:
        text = "".join(stream.text_stream)

    assert text == "pong"


# Tools


@pytest.mark.parametrize("thinking", [THINKING, {"type": "disabled"}], ids=["thinking", "not thinking"])
def test_a_tool_loop_brings_the_signature_back(either: House, either_client: Client, thinking: Any) -> None:
    model = "gemini-3-flash-preview"
    either.gemini.replies(answer("", parts=(CALL,)), answer("It rains."))
    asked: Any = {"model": model, "max_tokens": 1000, "tools": [WEATHER], "thinking": thinking}
    with either_client.messages.stream(messages=ASK, **asked) as stream:
        called = stream.get_final_message()
    assert called.stop_reason == "tool_use"
    call = called.content[-1]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("weather", {"city": "Ulm"})
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}

    message = either_client.messages.create(
        messages=[
            *ASK,
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": [result]},
        ],
        **asked,
    )

    assert message.content[0].to_dict()["text"] == "It rains."
    _user, spoken, told = either.gemini.bodies[-1]["contents"]
    [part] = [part for part in spoken["parts"] if "functionCall" in part]
    assert part["functionCall"]["args"] == {"city": "Ulm"}
    assert part["thoughtSignature"] == SIGNATURE
    assert told["parts"][0]["functionResponse"]["response"] == {"result": "rain"}


def test_the_sdks_tool_runner_goes_on_without_a_thread_of_ours(stage: House, client: Client) -> None:
    stage.gemini.replies(answer("", parts=(CALL,)), answer("It rains."))

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: Where.
        """
        return f"rain in {city}"

    final = client.beta.messages.tool_runner(model=MODEL, max_tokens=100, messages=ASK, tools=[weather]).until_done()

    assert final.content[0].to_dict()["text"] == "It rains."
    told = stage.gemini.bodies[-1]["contents"][-1]["parts"][0]["functionResponse"]
    assert told["response"] == {"result": "rain in Ulm"}


# Tokens


def test_it_counts_tokens(stage: House, client: Client) -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=ASK, system="Be kind.", tools=[WEATHER])

    assert counted.input_tokens > 0
    [call] = [call for call in stage.gemini.calls if call.method == "countTokens"]
    assert call.body["generateContentRequest"]["model"] == f"models/{MODEL}"
    assert call.body["generateContentRequest"]["tools"]


# Refusals


def test_a_wrong_password_is_refused(stage: House) -> None:
    with Client(stage, password="no such password") as client:
        refused = refusal_of(client, anthropic.AuthenticationError)

    assert refused.type == "authentication_error"


def test_a_mistake_is_refused_with_its_place(stage: House, client: Client) -> None:
    refused = refusal_of(client, anthropic.BadRequestError, extra_body={"temperature": 2})

    assert "temperature" in refused.message
    assert refused.error_code == "invalid_request"
    assert stage.gemini.bodies == []


def test_an_unknown_model_is_refused(client: Client) -> None:
    assert refusal_of(client, anthropic.NotFoundError, model="claude-opus-4-5").type == "not_found_error"


def test_a_blocked_prompt_is_refused(stage: House, client: Client) -> None:
    stage.gemini.replies(blocked("PROHIBITED_CONTENT"))

    assert "PROHIBITED_CONTENT" in refusal_of(client, anthropic.BadRequestError).message


def test_keys_that_all_fail_are_an_overload(stage: House, client: Client) -> None:
    stage.gemini.always(error("overloaded"))

    assert refusal_of(client, anthropic.InternalServerError).status_code == 503


def test_an_answer_withheld_halfway_is_a_refusal(stage: House, client: Client) -> None:
    stage.gemini.replies(withheld("SAFETY", "Once upon"))

    message = client.messages.create(model=MODEL, max_tokens=100, messages=ASK)

    assert message.content[0].to_dict()["text"] == "Once upon"
    assert message.stop_reason == "refusal"


def test_a_stream_that_breaks_off_raises(passing_on: House) -> None:
    passing_on.clear().gemini.replies(answer(TEXT, chunks=5, delay=0.02, fault=reset(2)))
    heard = ""

    with Client(passing_on) as client, pytest.raises(anthropic.APIStatusError, match="broke off"):  # noqa: SIM117
        with client.messages.stream(model=MODEL, max_tokens=100, messages=ASK) as stream:
            for text in stream.text_stream:
                heard += text

    assert heard
    assert TEXT.startswith(heard)


def test_models_are_listed_in_its_words(client: Client) -> None:
    assert MODEL in [model.id for model in client.models.list()]
