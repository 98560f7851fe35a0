"""Bodies for the Gemini API, made fit for Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation import vertex
from proxy.translation.chat import parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import VERTEX_MODELS, resolve
from proxy.translation.request import Options, build
from tests.chats import CHATS
from tests.oracle import complaints
from tests.shared import needs_shared

USER = [{"role": "user", "parts": [{"text": "hi"}]}]


def adapted(document: Any, method: str = "generateContent", **more: Any) -> Any:
    return orjson.loads(vertex.adapted(orjson.dumps(document), method, more))


DROPPED = {
    "store": ({"contents": USER, "store": True}, {"contents": USER}),
    "service tier": ({"contents": USER, "serviceTier": "flex"}, {"contents": USER}),
    "the model": ({"contents": USER, "model": "models/x"}, {"contents": USER}),
    "its other spelling": ({"contents": USER, "service_tier": "flex"}, {"contents": USER}),
    "server-side tool calls": (
        {"contents": USER, "toolConfig": {"includeServerSideToolInvocations": True}},
        {"contents": USER, "toolConfig": {}},
    ),
    "file search": (
        {"contents": USER, "tools": [{"fileSearch": {}}, {"googleSearch": {"timeRangeFilter": {}}}]},
        {"contents": USER, "tools": [{"googleSearch": {}}]},
    ),
    "part metadata": (
        {"contents": [{"role": "user", "parts": [{"text": "hi", "partMetadata": {"a": 1}}]}]},
        {"contents": USER},
    ),
    "a tool call of the server's": (
        {"contents": [{"role": "user", "parts": [{"text": "hi"}, {"toolCall": {"id": "1"}}]}]},
        {"contents": USER},
    ),
    "civic answers": (
        {"contents": USER, "generationConfig": {"enableEnhancedCivicAnswers": True, "topK": 1}},
        {"contents": USER, "generationConfig": {"topK": 1}},
    ),
    "a single object for a list": (
        {"contents": {"parts": {"text": "hi"}}},
        {"contents": USER},
    ),
}


@pytest.mark.parametrize(("given_body", "wanted"), DROPPED.values(), ids=DROPPED)
def test_what_vertex_does_not_know_is_left_out(given_body: Any, wanted: Any) -> None:
    assert adapted(given_body) == wanted


ONLY_ON_VERTEX = {
    "labels": ({"contents": USER, "labels": {"team": "a"}}, {"contents": USER}),
    "how audio, routing and models are chosen": (
        {
            "contents": USER,
            "generationConfig": {"audioTimestamp": True, "routing_config": {}, "modelConfig": {}, "topK": 1},
        },
        {"contents": USER, "generationConfig": {"topK": 1}},
    ),
    "the method of a safety setting": (
        {"contents": USER, "safety_settings": [{"category": "C", "threshold": "OFF", "method": "SEVERITY"}]},
        {"contents": USER, "safety_settings": [{"category": "C", "threshold": "OFF"}]},
    ),
    "a single safety setting": (
        {"contents": USER, "safetySettings": {"category": "C", "method": "SEVERITY"}},
        {"contents": USER, "safetySettings": {"category": "C"}},
    ),
    "arguments of calls piece by piece": (
        {
            "contents": USER,
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "streamFunctionCallArguments": True}},
        },
        {"contents": USER, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
    ),
}


@pytest.mark.parametrize(("given_body", "wanted"), ONLY_ON_VERTEX.values(), ids=ONLY_ON_VERTEX)
def test_what_only_vertex_knows_is_left_out_for_ai_studio(given_body: Any, wanted: Any) -> None:
    assert vertex.for_ai_studio(given_body) == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"contents": USER, "safetySettings": {"category": "C"}, "toolConfig": None, "generationConfig": None},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": {"labels": 1, "method": 2}}}]}]},
        {"contents": USER, "tools": [{"enterpriseWebSearch": {}}, {"retrieval": {}}]},
        {"contents": USER, "modelArmorConfig": {"promptTemplateName": "p"}},
        {"contents": [{"parts": [{"fileData": {"fileUri": "gs://bucket/a.pdf"}}]}]},
        {"contents": 1, "safetySettings": [None, 1], "toolConfig": {"functionCallingConfig": 1}},
    ],
)
def test_what_a_question_is_about_is_not_dropped_without_a_word(body: Any) -> None:
    assert vertex.for_ai_studio(body) == body


def test_a_content_without_a_role_is_the_users() -> None:
    assert adapted({"contents": [{"parts": [{"text": "hi"}]}]}) == {"contents": USER}


def test_what_both_know_stays_as_it_is() -> None:
    body = {
        "contents": USER,
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"store": {"model": 1}}}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 3}},
    }

    assert adapted(body) == body


def test_a_count_of_a_whole_request_is_asked_at_the_root() -> None:
    body = {"generateContentRequest": {"model": "models/x", "contents": USER, "safetySettings": []}}

    assert adapted(body, "countTokens") == {"contents": USER}
    assert adapted({"contents": USER}, "countTokens") == {"contents": USER}


def test_what_imagen_is_asked_is_the_same_on_both_sides() -> None:
    body = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 1}}

    assert adapted(body, "predict") == body


@pytest.mark.parametrize(
    ("model", "penalty"),
    [("gemini-2.5-pro", 0.5), ("gemini-3.1-pro-preview", 0.5), ("gemini-3.5-flash", None), ("gemini-4-neon", None)],
)
def test_penalties_go_where_vertex_takes_them(model: str, penalty: float | None) -> None:
    chat = parse({"model": model, "messages": [{"role": "user", "content": "hi"}], "frequency_penalty": 0.5})
    resolved = resolve(model)

    body = adapted(build(chat, resolved, Options()), **vertex.extras(chat, resolved))

    assert body["generationConfig"].get("frequencyPenalty") == penalty


def test_penalties_that_the_body_has_already_are_not_added_again() -> None:
    chat = parse({"model": "gemini-2.0-flash", "messages": [{"role": "user", "content": "hi"}], "presence_penalty": 1})

    assert vertex.extras(chat, resolve("gemini-2.0-flash")) == {}


@needs_shared
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(chat=CHATS, model=st.sampled_from(VERTEX_MODELS))
def test_whatever_is_built_for_a_chat_is_taken_by_vertex_once_it_is_adapted(chat: Any, model: str) -> None:
    try:
        parsed = parse(json.loads(json.dumps({**chat, "model": model})))
        body = build(parsed, resolve(model), Options())
    except Invalid:
        return

    sent = adapted(body, **vertex.extras(parsed, resolve(model)))

    assert complaints(model, sent, platform="vertex") == []
