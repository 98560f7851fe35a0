"""Gemini's own dialect: what is read of a body, what aliases add to it, and how answers are judged."""

from __future__ import annotations

from typing import Any

import pytest

from keys.rules import Outcome
from proxy.translation import native_request
from proxy.translation.deltas import EventDelta
from proxy.translation.native import NativeTranslator
from proxy.translation.profiles import resolve

HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
FUNCTIONS = {"functionDeclarations": [{"name": "f"}]}


@pytest.mark.parametrize("name", ["gemini-2.5-flash", "gemini-3.6-flash"])
def test_a_plain_name_leaves_the_body_as_it_is(name: str) -> None:
    assert native_request.with_aliases(HELLO, resolve(name)) is HELLO


@pytest.mark.parametrize(
    ("model", "tools", "expected", "is_allowed_beside"),
    [
        ("gemini-2.5-flash-search", None, [{"googleSearch": {}}], False),
        ("gemini-2.5-flash-search", [{"google_search": {}}], [{"google_search": {}}], False),
        ("gemini-2.5-flash-search", [FUNCTIONS], [FUNCTIONS], False),
        ("gemini-3.6-flash-search", [FUNCTIONS], [FUNCTIONS, {"googleSearch": {}}], True),
        ("gemini-2.5-flash-search", {"urlContext": {}}, [{"urlContext": {}}, {"googleSearch": {}}], False),
    ],
)
def test_search_in_the_name_adds_the_tool_once_and_by_the_rules_of_the_model(
    model: str, tools: Any, expected: list[Any], is_allowed_beside: bool
) -> None:
    body = HELLO | ({"tools": tools} if tools is not None else {})

    named = native_request.with_aliases(body, resolve(model))

    assert named["tools"] == expected
    assert named.get("toolConfig", {}).get("includeServerSideToolInvocations", False) is is_allowed_beside


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([FUNCTIONS, {"mcpServers": [{"name": "weather"}]}], True),
        ({"mcp_servers": []}, True),
        ([FUNCTIONS], False),
        (["mcpServers"], False),
        (None, False),
    ],
)
def test_an_answer_that_calls_tools_on_other_servers_may_go_on_after_its_end(tools: Any, expected: bool) -> None:
    assert native_request.goes_on(HELLO | {"tools": tools}) is expected


def test_thinking_in_the_name_is_said_unless_the_body_says_it() -> None:
    model = resolve("gemini-2.5-flash-thinking-none")
    own = HELLO | {"generation_config": {"thinking_config": {"thinkingBudget": 7}}}

    named = native_request.with_aliases(HELLO | {"generationConfig": {"seed": 1}}, model)

    assert named["generationConfig"] == {"seed": 1, "thinkingConfig": {"thinkingBudget": 0}}
    assert native_request.with_aliases(own, model) is own


@pytest.mark.parametrize(
    ("config", "answers"),
    [
        ({}, 1),
        ({"generationConfig": {"candidateCount": 8}}, 8),
        ({"generation_config": {"candidate_count": 3}}, 3),
        ({"generationConfig": {"candidateCount": True}}, 1),
        ({"generationConfig": {"candidateCount": -2}}, 1),
        ({"generationConfig": "x"}, 1),
    ],
)
def test_as_many_answers_count_as_are_asked_for(config: dict[str, Any], answers: int) -> None:
    assert native_request.answers(HELLO | config) == answers


def test_models_named_within_a_body_are_found() -> None:
    counted = {"generateContentRequest": {"model": "models/gemini-2.5-pro", **HELLO}}
    batch = {"requests": [{"model": "models/gemini-embedding-001"}, {}, "x", {"model": 5}]}

    assert list(native_request.models(counted)) == ["models/gemini-2.5-pro"]
    assert list(native_request.models(batch)) == ["models/gemini-embedding-001"]
    assert list(native_request.models(HELLO)) == []


def event(text: str = "", reason: str = "", *, thought: bool = False) -> dict[str, Any]:
    parts = [{"text": text, **({"thought": True} if thought else {})}] if text else []
    return {"candidates": [{"content": {"parts": parts}, **({"finishReason": reason} if reason else {})}]}


def thoughts(*events: dict[str, Any]) -> list[bool]:
    translator = NativeTranslator()
    deltas = [delta for each in events for delta in translator.feed(each)]
    return [delta.is_thought for delta in deltas if isinstance(delta, EventDelta)]


def test_only_what_comes_before_an_answer_may_go_out_before_it() -> None:
    assert thoughts(event("hm", thought=True), event("Hi"), event("", "STOP")) == [True, False, False]
    # The end of an answer without text is not passed on while another attempt may follow.
    assert thoughts(event("hm", thought=True), event("", "STOP")) == [True, False]
    assert thoughts(event("", "MALFORMED_FUNCTION_CALL")) == [False]


@pytest.mark.parametrize(
    ("reason", "outcome", "is_visible", "malformed"),
    [
        ("STOP", Outcome.EMPTY, False, ""),
        ("MALFORMED_FUNCTION_CALL", Outcome.EMPTY, False, "MALFORMED_FUNCTION_CALL"),
        ("SAFETY", Outcome.BLOCKED, True, ""),
        ("MAX_TOKENS", Outcome.TRUNCATED, True, ""),
    ],
)
def test_an_answer_without_text_is_judged_by_how_it_ends(
    reason: str, outcome: Outcome, is_visible: bool, malformed: str
) -> None:
    translator = NativeTranslator()
    translator.feed(event("", reason))

    assert (translator.outcome(), translator.visible, translator.malformed) == (outcome, is_visible, malformed)


KEY = "AIzaSyA1234567890abcdefghijklmnopqrstuv"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": f"api_key:{KEY} may not"}},
            {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "api_key:*** may not"}},
        ),
        (
            {"candidates": [{"finishReason": "SAFETY", "finishMessage": f"{KEY} stopped"}]},
            {"candidates": [{"finishReason": "SAFETY", "finishMessage": "*** stopped"}]},
        ),
        # What is no text, or is an answer, stays as it came.
        (
            {"promptFeedback": [KEY], "candidates": [None, {"finishReason": "STOP", "finishMessage": 7}]},
            {"promptFeedback": [KEY], "candidates": [None, {"finishReason": "STOP", "finishMessage": 7}]},
        ),
        (event(KEY, "STOP"), event(KEY, "STOP")),
    ],
)
def test_what_google_says_of_a_block_or_an_end_is_passed_on_without_our_keys(
    said: dict[str, Any], told: dict[str, Any]
) -> None:
    [delta] = NativeTranslator().feed(said)

    assert isinstance(delta, EventDelta)
    assert delta.event == told
