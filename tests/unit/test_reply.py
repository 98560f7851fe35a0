"""Gemini's events -> deltas, and how the answer ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keys.rules import Outcome
from proxy.translation.reply import (
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Translator,
)


def event(*parts: Any, reason: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate | more]}


def fed(*events: Any) -> tuple[Translator, list[Delta]]:
    translator = Translator()
    return translator, [delta for each in events for delta in translator.feed(each)]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


def test_text_comes_as_it_is():
    translator, deltas = fed(event(text("Hel")), event(text("lo\n"), text("  ")), event(text("you"), reason="STOP"))

    assert deltas == [TextDelta("Hel"), TextDelta("lo\n"), TextDelta("  "), TextDelta("you")]
    assert translator.finish() == [FinishDelta(Finish.STOP)]
    assert translator.outcome() is Outcome.ANSWERED
    assert translator.ended


def test_thoughts_stand_apart_and_are_no_answer():
    translator, deltas = fed(event(text("Hmm", thought=True), reason="STOP"))

    assert deltas == [ThoughtDelta("Hmm")]
    assert not translator.visible
    assert translator.outcome() is Outcome.EMPTY


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\u200b", "\ufeff \t"])
def test_blank_text_alone_is_no_answer(blank: str):
    translator, deltas = fed(event(text(blank)), event(text(blank), reason="STOP"))

    assert deltas == []
    assert translator.outcome() is Outcome.EMPTY
    assert translator.finish() == [FinishDelta(Finish.STOP)]


def test_blank_text_at_the_front_waits_for_the_text_it_belongs_to():
    translator = Translator()

    assert translator.feed(event(text("\n"), text(" "))) == []
    assert not translator.visible
    assert translator.feed(event(text("  Once"))) == [TextDelta("\n   Once")]
    assert translator.visible


def test_blank_text_before_a_tool_call_is_kept():
    _, deltas = fed(event(text("\n"), {"functionCall": {"name": "look"}}))

    assert deltas[0] == TextDelta("\n")
    assert isinstance(deltas[1], ToolCallDelta)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("NO_IMAGE", "content_filter"),
        ("ESCALATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("OTHER", "stop"),
        ("A_NEW_WORD", "stop"),
        (1, "stop"),
        (2, "length"),
        (3, "content_filter"),
        (99, "stop"),
    ],
)
def test_a_reason_becomes_openais_word(reason: Any, finish: str):
    translator, _ = fed(event(text("Some text"), reason=reason))

    assert translator.finish() == [FinishDelta(Finish(finish))]
    assert translator.outcome() is Outcome.ANSWERED


@pytest.mark.parametrize(
    ("reason", "outcome", "category"),
    [
        ("STOP", Outcome.EMPTY, ""),
        ("OTHER", Outcome.EMPTY, ""),
        ("MALFORMED_FUNCTION_CALL", Outcome.EMPTY, ""),
        ("UNEXPECTED_TOOL_CALL", Outcome.EMPTY, ""),
        ("A_NEW_WORD", Outcome.EMPTY, ""),
        ("MAX_TOKENS", Outcome.TRUNCATED, ""),
        ("SAFETY", Outcome.BLOCKED, "SAFETY"),
        ("PROHIBITED_CONTENT", Outcome.BLOCKED, "PROHIBITED_CONTENT"),
        ("RECITATION", Outcome.BLOCKED, "RECITATION"),
        ("IMAGE_SAFETY", Outcome.BLOCKED, "IMAGE_SAFETY"),
        (3, Outcome.BLOCKED, "SAFETY"),
    ],
)
@pytest.mark.parametrize(
    "parts", [(), (text(""),), (text("I think", thought=True),)], ids=["none", "blank", "thoughts"]
)
def test_an_answer_without_visible_output_says_why(
    reason: Any, outcome: Outcome, category: str, parts: tuple[Any, ...]
):
    translator, _ = fed(event(*parts, reason=reason))

    assert translator.outcome() is outcome
    assert translator.category == category
    assert translator.ended


def test_text_and_then_safety_is_an_answer_cut_by_the_filter():
    translator, deltas = fed(event(text("Once upon")), event(reason="SAFETY"))

    assert deltas == [TextDelta("Once upon")]
    assert translator.outcome() is Outcome.ANSWERED
    assert translator.finish() == [FinishDelta(Finish.CONTENT_FILTER)]


def test_the_last_reason_holds():
    translator, deltas = fed(
        event(text("One "), reason="STOP"), event(text("two"), reason="STOP"), event(reason="RECITATION")
    )

    assert deltas == [TextDelta("One "), TextDelta("two")]
    assert translator.finish() == [FinishDelta(Finish.CONTENT_FILTER)]


def test_a_reason_stays_when_more_comes_without_one():
    translator, _ = fed(event(text("One"), reason="MAX_TOKENS"), event(text(" two")))

    assert translator.ended
    assert translator.finish() == [FinishDelta(Finish.LENGTH)]


def test_a_blocked_prompt_names_its_category():
    translator, deltas = fed({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}})

    assert deltas == []
    assert translator.ended
    assert translator.outcome() is Outcome.BLOCKED
    assert translator.category == "PROHIBITED_CONTENT"
    assert translator.finish() == [FinishDelta(Finish.CONTENT_FILTER)]


def test_a_block_after_text_ends_the_choice_as_filtered():
    translator, _ = fed(event(text("Once")), {"promptFeedback": {"blockReason": "OTHER"}})

    assert translator.ended
    assert translator.outcome() is Outcome.ANSWERED
    assert translator.finish() == [FinishDelta(Finish.CONTENT_FILTER)]


def test_safety_ratings_without_a_reason_block_nothing():
    translator, _ = fed({"promptFeedback": {"safetyRatings": []}}, event(text("Hi"), reason="STOP"))

    assert translator.category == ""
    assert translator.finish() == [FinishDelta(Finish.STOP)]


@pytest.mark.parametrize("odd", ["lower case", "A" * 500, "NEW\nLINE", ["SAFETY"], {"x": 1}])
def test_an_odd_block_reason_is_called_other(odd: Any):
    translator, _ = fed({"promptFeedback": {"blockReason": odd}})

    assert translator.category == "OTHER"


def test_a_stream_without_a_reason_was_cut():
    assert not fed()[0].ended
    assert not fed(event(text("Once upon a")))[0].ended
    assert not fed(event(text("a"), reason="FINISH_REASON_UNSPECIFIED"))[0].ended
    two = {"candidates": [{"index": 0, "finishReason": "STOP"}, {"index": 1}]}
    assert not fed(two)[0].ended


def test_candidates_are_told_apart_by_index():
    first = {
        "candidates": [{"index": 1, "content": {"parts": [text("b")]}}, {"index": 0, "content": {"parts": [text("a")]}}]
    }
    last = {"candidates": [{"index": 1, "finishReason": "MAX_TOKENS"}, {"index": 0, "finishReason": "STOP"}]}

    translator, deltas = fed(first, last)

    assert deltas == [TextDelta("b", 1), TextDelta("a", 0)]
    assert translator.finish() == [FinishDelta(Finish.STOP, 0), FinishDelta(Finish.LENGTH, 1)]


def test_candidates_without_index_are_counted():
    _, deltas = fed({"candidates": [{"content": {"parts": [text(name)]}} for name in "ab"]})

    assert deltas == [TextDelta("a", 0), TextDelta("b", 1)]


def test_a_tool_call_gets_an_id_where_google_gives_none():
    translator, deltas = fed(
        event(
            {"functionCall": {"name": "look", "args": {"where": "北"}}}, {"functionCall": {"name": "go", "id": "g1"}}
        ),
        event(reason="STOP"),
    )
    first, second = deltas

    assert isinstance(first, ToolCallDelta)
    assert first.id.startswith("call_")
    assert len(first.id) < 40
    assert (first.name, json.loads(first.arguments), first.order) == ("look", {"where": "北"}, 0)
    assert second == ToolCallDelta("g1", "go", "{}", 1)
    assert translator.finish() == [FinishDelta(Finish.TOOL_CALLS)]
    assert translator.outcome() is Outcome.ANSWERED


def test_ids_of_tool_calls_are_never_equal():
    call = {"functionCall": {"name": "look", "id": "same"}}

    _, deltas = fed(event(call, call, {"functionCall": {"name": "look", "id": "x" * 99}}))

    ids = [delta.id for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert len(set(ids)) == 3
    assert max(map(len, ids)) <= 40


def test_an_image_is_visible_but_a_draft_in_thoughts_is_not():
    image = {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}

    assert fed(event(image | {"thought": True}))[1] == []
    translator, deltas = fed(event(image, reason="STOP"))

    assert deltas == [MediaDelta("image/jpeg", "AAAA")]
    assert translator.outcome() is Outcome.ANSWERED


def test_code_and_its_output_are_fenced():
    _, deltas = fed(
        event(
            {"executableCode": {"language": "PYTHON", "code": "print(1)\n"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        )
    )

    assert deltas == [TextDelta("\n```python\nprint(1)\n```\n"), TextDelta("\n```\n1\n```\n")]


def test_a_fence_is_longer_than_those_within_it():
    _, deltas = fed(event({"codeExecutionResult": {"output": "```\n````x\n```"}}))

    assert deltas == [TextDelta("\n`````\n```\n````x\n```\n`````\n")]


def test_logprobs_come_as_openais_rows():
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "x"}],
        "topCandidates": [{"candidates": [{"token": "e", "logProbability": -1}]}],
    }

    _, deltas = fed(event(text("éx"), logprobsResult=result))

    first = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    top = [{"token": "e", "logprob": -1, "bytes": [101]}]
    unknown = {"token": "x", "logprob": -9999.0, "bytes": [120], "top_logprobs": []}
    assert deltas == [TextDelta("éx"), LogprobsDelta(({**first, "top_logprobs": top}, unknown))]


def test_it_remembers_who_answered():
    translator, _ = fed({"responseId": "r1", "modelVersion": "gemini-3-flash"}, {"responseId": 7})

    assert (translator.response_id, translator.model_version) == ("r1", "gemini-3-flash")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"candidates": None},
        {"candidates": {}},
        {"candidates": [None, 7, {}]},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": []}]},
        {"candidates": [{"content": {}, "index": "x"}]},
        {"candidates": [{"content": {"parts": None}, "index": -1}]},
        {"candidates": [{"content": {"parts": [None, {}, {"text": None}, {"text": 7}, {"unknown": 1}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": None}, {"functionCall": {}}, {"inlineData": {}}]}}]},
        {"candidates": [{"content": {"parts": [{"executableCode": 1}, {"codeExecutionResult": {"output": 1}}]}}]},
        {"candidates": [{"logprobsResult": 1}, {"logprobsResult": {"chosenCandidates": 1}}]},
        {"promptFeedback": None, "usageMetadata": 7},
        {"error": {"code": 503}},
    ],
)
def test_shapes_that_google_never_sends_are_passed_over(odd: Any):
    translator, deltas = fed(odd)

    assert deltas == []
    assert not translator.visible
    assert not translator.ended
    assert translator.outcome() is Outcome.EMPTY


@pytest.mark.parametrize("odd", [None, [], "text", 7])
def test_an_event_that_is_no_object_is_refused(odd: Any):
    with pytest.raises(ValueError):
        Translator().feed(odd)
