"""The built-in Gemini simulator answers, streams and fails as Google does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.gemini import FakeGemini, answer, blocked, empty, end, error, events, hang, html, reset, truncated, withheld
from tests.shared import needs_shared

KEY = "AIzaSyA-fake-key-of-the-simulator-00001"
# No proxy, and no time lost on a TLS context.
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
FLASH, THINKING = "gemini-2.0-flash", "gemini-2.5-flash"


def body(text: str = "hello there", **config: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}


def post(gemini: FakeGemini, document: Any, model: str = FLASH, method: str = "generateContent", key: str = KEY) -> Any:
    url = f"{gemini.url}/v1beta/models/{model}:{method}"
    return httpx.post(url, json=document, headers={"x-goog-api-key": key}, **PLAIN, timeout=5)


def stream(gemini: FakeGemini, document: Any, model: str = FLASH) -> list[Any]:
    response = post(gemini, document, model, "streamGenerateContent?alt=sse")
    assert response.headers["content-type"] == "text/event-stream"
    frames = response.content.split(b"\r\n\r\n")
    assert frames.pop() == b""
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def text_of(document: Any) -> str:
    parts = document["candidates"][0]["content"].get("parts", [])
    return "".join(part["text"] for part in parts if not part.get("thought"))


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["message"]


def test_it_says_back_what_was_said(gemini: FakeGemini) -> None:
    document = post(gemini, body("hello there")).json()

    assert text_of(document) == "You said: hello there"
    assert document["candidates"][0]["finishReason"] == "STOP"
    assert document["modelVersion"] == FLASH


def test_it_streams_word_by_word_with_usage_in_every_event_and_the_finish_in_the_last(gemini: FakeGemini) -> None:
    found = stream(gemini, body("one two three"))

    assert [text_of(event) for event in found] == ["You", " said:", " one", " two", " three"]
    assert all("usageMetadata" in event for event in found)
    assert ["finishReason" in event["candidates"][0] for event in found] == [False] * 4 + [True]


def test_a_stream_without_sse_is_one_json_array(gemini: FakeGemini) -> None:
    response = post(gemini, body("one two"), method="streamGenerateContent")

    assert "".join(map(text_of, response.json())) == "You said: one two"


def test_the_usage_adds_up(gemini: FakeGemini) -> None:
    usage = stream(gemini, body("one two"), THINKING)[-1]["usageMetadata"]

    spent = usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert usage["totalTokenCount"] == spent


def test_a_thinking_model_shows_its_thoughts_when_asked(gemini: FakeGemini) -> None:
    found = stream(gemini, body(thinkingConfig={"includeThoughts": True}), THINKING)

    assert [event["candidates"][0]["content"]["parts"][0].get("thought", False) for event in found[:3]] == [
        True,
        True,
        False,
    ]


def test_a_thinking_model_without_room_for_thoughts_says_nothing(gemini: FakeGemini) -> None:
    document = post(gemini, body(maxOutputTokens=300), THINKING).json()

    assert text_of(document) == ""
    assert document["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert document["usageMetadata"]["thoughtsTokenCount"] == 300


def test_a_thinking_budget_leaves_room_for_text(gemini: FakeGemini) -> None:
    document = post(gemini, body(maxOutputTokens=300, thinkingConfig={"thinkingBudget": 0}), THINKING).json()

    assert text_of(document) == "You said: hello there"


def test_a_long_answer_stops_at_the_token_limit(gemini: FakeGemini) -> None:
    document = post(gemini, body("word " * 200, maxOutputTokens=10)).json()

    assert len(text_of(document)) == 40
    assert document["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_it_lists_models_in_pages(gemini: FakeGemini) -> None:
    get = httpx.Client(base_url=gemini.url, headers={"x-goog-api-key": KEY}, **PLAIN)
    with get:
        first = get.get("/v1beta/models", params={"pageSize": 20}).json()
        rest = get.get("/v1beta/models", params={"pageSize": 20, "pageToken": first["nextPageToken"]}).json()
        whole = get.get("/v1beta/models").json()["models"]
        one = get.get(f"/v1/models/{THINKING}").json()

    assert [*first["models"], *rest["models"]] == whole
    assert "nextPageToken" not in rest
    assert one["name"] == f"models/{THINKING}"
    assert "generateContent" in one["supportedGenerationMethods"]


def test_it_counts_tokens_and_embeds(gemini: FakeGemini) -> None:
    content = {"parts": [{"text": "hello"}]}
    one = {"model": "models/gemini-embedding-001", "content": content, "outputDimensionality": 3}

    assert post(gemini, {"contents": [content]}, method="countTokens").json()["totalTokens"] == 2
    single = post(gemini, one, "gemini-embedding-001", "embedContent").json()["embedding"]["values"]
    batch = post(gemini, {"requests": [one, one]}, "gemini-embedding-001", "batchEmbedContents").json()["embeddings"]
    assert len(single) == 3
    assert batch == [{"values": single}] * 2


def test_the_key_comes_in_the_header_or_the_query(gemini: FakeGemini) -> None:
    by_query = httpx.post(f"{gemini.url}/v1alpha/models/{FLASH}:generateContent?key={KEY}", json=body(), **PLAIN)
    without = httpx.post(f"{gemini.url}/v1beta/models/{FLASH}:generateContent", json=body(), **PLAIN)

    assert by_query.status_code == 200
    assert gemini.calls[0].key_place == "query"
    assert refusal(without)[0] == 403


def test_an_unknown_key_is_refused_with_status_400() -> None:
    with FakeGemini(keys=[KEY]) as gemini:
        refused = post(gemini, body(), key="AIzaSyA-another")

        assert refusal(refused) == (400, "API key not valid. Please pass a valid API key.")
        assert refused.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
        assert post(gemini, body()).status_code == 200


def test_a_model_that_a_key_is_not_offered_is_not_found(gemini: FakeGemini) -> None:
    gemini.offers[KEY] = (THINKING,)

    status, sentence = refusal(post(gemini, body()))

    assert status == 404
    assert sentence.startswith(f"models/{FLASH} is not found for API version v1beta")
    assert refusal(post(gemini, body(), "gemini-9-none"))[0] == 404


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "contents is not specified"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ([], "Invalid JSON payload received."),
    ],
)
def test_it_refuses_what_google_refuses(gemini: FakeGemini, document: Any, words: str) -> None:
    status, sentence = refusal(post(gemini, document))

    assert status == 400
    assert words in sentence


@needs_shared
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"frequency_penality": 1}, "Unknown name"),
        ({"temperature": 3}, "temperature"),
        ({"thinkingConfig": {"thinkingLevel": "LOW"}}, "Thinking level is not supported for this model."),
        ({"frequencyPenalty": 0.5}, "Penalty is not enabled for this model"),
    ],
)
def test_it_is_as_strict_as_google(gemini: FakeGemini, config: dict[str, Any], words: str) -> None:
    status, sentence = refusal(post(gemini, body(**config), THINKING))

    assert status == 400
    assert words in sentence


def test_it_refuses_bytes_that_are_not_json(gemini: FakeGemini) -> None:
    url = f"{gemini.url}/v1beta/models/{FLASH}:generateContent?key={KEY}"

    assert refusal(httpx.post(url, content=b'{"contents": [', **PLAIN))[0] == 400


def test_replies_come_in_order_and_the_narrowest_first(gemini: FakeGemini) -> None:
    gemini.always("standing")
    gemini.replies("first", 503)
    gemini.replies("for this key", key=KEY)
    gemini.replies("for that model", model=THINKING)

    assert text_of(post(gemini, body()).json()) == "for this key"
    assert text_of(post(gemini, body()).json()) == "first"
    assert text_of(post(gemini, body(), THINKING).json()) == "for that model"
    assert post(gemini, body()).status_code == 503
    assert text_of(post(gemini, body()).json()) == "standing"
    assert gemini.unread == 0


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("per_day", 429, "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        ("per_minute", 429, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        ("limit_zero", 429, "limit: 0"),
        ("exhausted", 429, "Resource has been exhausted"),
        ("suspended", 403, f"api_key:{KEY}"),
        ("leaked", 403, "reported as leaked"),
        ("service_disabled", 403, "SERVICE_DISABLED"),
        ("location", 400, "FAILED_PRECONDITION"),
        ("internal", 500, "INTERNAL"),
        ("overloaded", 503, "overloaded"),
        ("deadline", 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_it_refuses_with_googles_bodies(gemini: FakeGemini, kind: str, status: int, found: str) -> None:
    gemini.replies(error(kind))

    response = post(gemini, body())

    assert response.status_code == response.json()["error"]["code"] == status
    assert found in response.text


def test_a_day_quota_hides_behind_a_short_delay(gemini: FakeGemini) -> None:
    gemini.replies(error("per_day", retry=18.4))

    details = post(gemini, body()).json()["error"]["details"]

    assert details[-1]["retryDelay"] == "18s"


def test_quotas_are_simulated_per_key_and_model() -> None:
    with FakeGemini(rpm=2) as gemini:
        statuses = [post(gemini, body()).status_code for _ in range(3)]

        assert statuses == [200, 200, 429]
        assert post(gemini, body(), THINKING).status_code == 200
        assert post(gemini, body(), key="another").status_code == 200
    with FakeGemini(rpd=1) as gemini:
        assert "PerDay" in [post(gemini, body()).text for _ in range(2)][1]


def test_answers_without_a_word(gemini: FakeGemini) -> None:
    gemini.replies(empty(), truncated(), withheld("SAFETY"), blocked("PROHIBITED_CONTENT"))

    said, cut, kept, refused = (post(gemini, body()).json() for _ in range(4))

    assert [text_of(document) for document in (said, cut, kept)] == ["", "", ""]
    reasons = [document["candidates"][0]["finishReason"] for document in (said, cut, kept)]
    assert reasons == ["STOP", "MAX_TOKENS", "SAFETY"]
    assert refused["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert "candidates" not in refused


def test_events_go_out_as_they_are(gemini: FakeGemini) -> None:
    odd = {"candidates": None}
    gemini.replies(events(odd, {}), events(odd))

    assert stream(gemini, body()) == [odd, {}]
    assert post(gemini, body()).json() == odd


def test_a_whole_answer_equals_its_stream(gemini: FakeGemini) -> None:
    gemini.always(answer("one two three", thoughts="First.\n\nThen.", candidates=2))

    whole = post(gemini, body()).json()
    streamed = stream(gemini, body())

    assert "".join(map(text_of, streamed)) == text_of(whole) == "one two three"
    assert len(whole["candidates"]) == 2
    assert whole["candidates"][0]["content"]["parts"][0] == {"text": "First.\n\nThen.", "thought": True}
    assert whole["usageMetadata"] == streamed[-1]["usageMetadata"]


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent?alt=sse"])
@pytest.mark.parametrize("after", [None, 0, 1, 2, 100])
def test_a_broken_connection_is_seen_as_one(gemini: FakeGemini, method: str, after: int | None) -> None:
    gemini.replies(reset(after))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        post(gemini, body(), method=method)
    gemini.wait_until(lambda: gemini.calls[0].ended == "broken")


def test_a_cut_stream_ends_without_a_reason(gemini: FakeGemini) -> None:
    gemini.replies(end(2))

    found = stream(gemini, body("one two three"))

    assert [text_of(event) for event in found] == ["You", " said:"]
    assert all("finishReason" not in event["candidates"][0] for event in found)


async def test_a_client_that_hangs_up_is_noticed(gemini: FakeGemini) -> None:
    gemini.replies(answer("one two three", fault=hang(2)))
    url = f"{gemini.url}/v1beta/models/{FLASH}:streamGenerateContent?alt=sse&key={KEY}"

    async with httpx.AsyncClient(**PLAIN) as client, client.stream("POST", url, json=body()) as response:
        got = b""
        async for data in response.aiter_raw():
            got += data
            if b"two" in got:
                break
        assert gemini.in_flight == 1

    await gemini.until(lambda: gemini.calls[0].ended == "client_gone")
    assert gemini.in_flight == 0
    assert gemini.calls[0].sent == 2


async def test_held_answers_wait_and_concurrency_is_counted(gemini: FakeGemini) -> None:
    gemini.always(answer("pong", held=True))
    url = f"{gemini.url}/v1beta/models/{FLASH}:generateContent?key={KEY}"

    async with httpx.AsyncClient(**PLAIN) as client:
        posts = [asyncio.create_task(client.post(url, json=body())) for _ in range(5)]
        await gemini.until(lambda: gemini.in_flight == 5)
        gemini.release()
        responses = await asyncio.gather(*posts)

    assert [response.status_code for response in responses] == [200] * 5
    assert gemini.max_in_flight == 5
    assert gemini.keys_used == [KEY] * 5


def test_dripped_and_compressed_answers_stay_whole(gemini: FakeGemini) -> None:
    gemini.replies(answer("héllo wörld", drip=7), answer("héllo wörld", gzip=True), html(502))

    assert "".join(map(text_of, stream(gemini, body()))) == "héllo wörld"
    assert text_of(post(gemini, body()).json()) == "héllo wörld"
    assert post(gemini, body()).text.startswith("<html>")
