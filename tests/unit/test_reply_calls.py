"""Gemini's function calls -> tool calls: ids, names, signatures, and arguments that come in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.reply import Delta, Finish, FinishDelta, SignatureDelta, TextDelta, ToolCallDelta, Translator


def call(name: str | None = None, signature: str | None = None, **more: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": ({"name": name} if name else {}) | more}
    return part | ({"thoughtSignature": signature} if signature else {})


def event(*parts: Any, reason: str | None = None) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}} | ({"finishReason": reason} if reason else {})]}


def fed(translator: Translator, *events: Any) -> list[Delta]:
    return [delta for each in events for delta in translator.feed(each)]


def calls_in(deltas: list[Delta]) -> list[ToolCallDelta]:
    return [delta for delta in deltas if isinstance(delta, ToolCallDelta)]


def arguments_of(*events: Any) -> list[Any]:
    translator = Translator()
    return [json.loads(one.arguments) for one in calls_in(fed(translator, *events) + translator.finish())]


def piece(path: str, value: Any = None, **more: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", bool: "boolValue", int: "numberValue", float: "numberValue", type(None): "nullValue"}
    return {"jsonPath": path, kinds[type(value)]: value} | more


# Signatures


def test_the_first_of_parallel_calls_keeps_its_signature_for_itself():
    deltas = fed(Translator(), event(call("look", "c2ln", id="a"), call("look", id="b"), call("look", id="c")))

    assert [(one.id, one.signature) for one in calls_in(deltas)] == [("a", "c2ln"), ("b", None), ("c", None)]


def test_each_step_keeps_its_own_signature():
    deltas = fed(Translator(), event(call("look", "Zmlyc3Q=")), event(call("go", "c2Vjb25k")))

    assert [one.signature for one in calls_in(deltas)] == ["Zmlyc3Q=", "c2Vjb25k"]


@pytest.mark.parametrize(
    "parts",
    [
        [{"text": "Hello", "thoughtSignature": "c2ln"}],
        [{"text": "Hel"}, {"text": "lo", "thoughtSignature": "c2ln"}],
        [{"text": "Hello"}, {"text": "", "thoughtSignature": "c2ln"}],
        [{"text": "Hel", "thoughtSignature": "b2xk"}, {"text": "lo", "thoughtSignature": "c2ln"}],
    ],
)
def test_a_texts_signature_comes_once_when_the_text_is_whole(parts: list[Any]):
    translator = Translator()

    deltas = fed(translator, *(event(part) for part in parts))

    assert not any(isinstance(delta, SignatureDelta) for delta in deltas)
    assert translator.finish()[0] == SignatureDelta("c2ln")


def test_a_calls_signature_is_not_the_texts():
    translator = Translator()

    deltas = fed(translator, event({"text": "Look"}, call("look", "c2ln"), reason="STOP"))

    assert [one.signature for one in calls_in(deltas)] == ["c2ln"]
    assert translator.finish() == [FinishDelta(Finish.TOOL_CALLS)]


def test_signatures_of_thoughts_and_of_code_are_not_the_texts():
    translator = Translator()
    thought = {"text": "Hm", "thought": True, "thoughtSignature": "b25l"}
    code = {"executableCode": {"code": "1"}, "thoughtSignature": "dHdv"}

    fed(translator, event(thought, code, {"text": "Hello"}, reason="STOP"))

    assert translator.finish() == [FinishDelta(Finish.STOP)]


# Names and ids


def test_a_name_is_told_as_the_client_wrote_it():
    translator = Translator({"my_tool": "my tool!"})

    deltas = fed(translator, event(call("my_tool"), call("other")))

    assert [one.name for one in calls_in(deltas)] == ["my tool!", "other"]


def test_an_id_that_means_another_call_is_not_used_again():
    translator = Translator(taken={"call_1"}.__contains__)

    first, second = calls_in(fed(translator, event(call("look", id="call_1"), call("look", id="call_2"))))

    assert first.id.startswith("call_")
    assert first.id != "call_1"
    assert second.id == "call_2"


@pytest.mark.parametrize("odd", ["", "x" * 41, "a\nb", "\0", 7, None, ["a"]])
def test_an_odd_id_is_replaced(odd: Any):
    [one] = calls_in(fed(Translator(), event(call("look", id=odd))))

    assert one.id.startswith("call_")
    assert len(one.id) <= 40


def test_only_the_first_call_counts_where_parallel_calls_are_not_wanted():
    translator = Translator(parallel=False)

    deltas = fed(
        translator, event(call("look", "c2ln", id="a"), call("look", id="b")), event(call("go"), reason="STOP")
    )

    assert [one.id for one in calls_in(deltas)] == ["a"]
    assert translator.finish() == [FinishDelta(Finish.TOOL_CALLS)]


# Arguments in pieces


def test_arguments_in_pieces_are_put_together():
    deltas = fed(
        Translator(),
        event(call("cook", "c2ln", willContinue=True)),
        event(call(partialArgs=[piece("$.recipe.steps[0]", "Wash ", willContinue=True)], willContinue=True)),
        event(call(partialArgs=[piece("$.recipe.steps[0]", "it.", willContinue=True)], willContinue=True)),
        event(call(partialArgs=[piece("$.recipe.steps[0]", "")], willContinue=True)),
        event(call(partialArgs=[piece("$.recipe.steps[1]", "Cook."), piece("$.minutes", 12)], willContinue=True)),
        event(call(partialArgs=[piece("$.hot", True), piece("$.note", None)], willContinue=True)),
        event(call()),
        event(call("eat", args={"now": False}), reason="STOP"),
    )

    cook, eat = calls_in(deltas)
    recipe = {"recipe": {"steps": ["Wash it.", "Cook."]}, "minutes": 12, "hot": True, "note": None}
    assert (cook.name, json.loads(cook.arguments), cook.order, cook.signature) == ("cook", recipe, 0, "c2ln")
    assert (eat.name, json.loads(eat.arguments), eat.order, eat.signature) == ("eat", {"now": False}, 1, None)


def test_a_call_is_whole_with_the_last_piece_that_says_so():
    translator = Translator()

    assert fed(translator, event(call("look", willContinue=True))) == []
    assert not translator.visible
    [one] = fed(translator, event(call(partialArgs=[piece("$.where", "there")])))

    assert isinstance(one, ToolCallDelta)
    assert one.arguments == '{"where":"there"}'


@pytest.mark.parametrize("end", [event(reason="STOP"), event(call("go"), reason="STOP")])
def test_a_call_that_never_says_so_is_whole_at_the_end(end: dict[str, Any]):
    start = event(call("look", willContinue=True, partialArgs=[piece("$.where", "th", willContinue=True)]))

    assert arguments_of(start, end)[0] == {"where": "th"}


def test_a_call_that_was_cut_is_no_call():
    translator = Translator()

    deltas = fed(translator, event(call("look", willContinue=True))) + translator.finish()

    assert calls_in(deltas) == []
    assert translator.outcome() is Outcome.EMPTY


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.a", {"a": 1}),
        ("$['odd name']", {"odd name": 1}),
        ('$["a.b"].c', {"a.b": {"c": 1}}),
        (r"$['it\'s']", {"it's": 1}),
        ("$.a[2]", {"a": [None, None, 1]}),
        ("$.a[0][1].b", {"a": [[None, {"b": 1}]]}),
        ("$", {}),
        ("$.", {}),
        ("$[0]", {}),
        ("a", {}),
        ("$.a[", {}),
        ("$.a[-1]", {}),
        ("$.a[99999]", {}),
        ("$" + ".a" * 65, {}),
        (7, {}),
    ],
)
def test_a_path_leads_to_its_place_or_nowhere(path: Any, value: Any):
    assert arguments_of(event(call("f", partialArgs=[{"jsonPath": path, "numberValue": 1}, 7, {}]))) == [value]


def test_a_path_through_a_plain_value_replaces_it():
    pieces = [piece("$.a", 1), piece("$.a.b", 2), piece("$.a[0]", 3)]

    assert arguments_of(event(call("f", partialArgs=pieces))) == [{"a": [3]}]


@pytest.mark.parametrize("odd", [None, 7, {}, "x", [None, 7]])
def test_pieces_that_google_never_sends_are_passed_over(odd: Any):
    assert arguments_of(event(call("f", args=odd, partialArgs=odd))) == [{}]


leaves = st.text(max_size=8) | st.integers(-99, 99) | st.booleans() | st.none()
names = st.from_regex(r"[a-zA-Z_ ][\w .'\"\\\[\]]{0,6}", fullmatch=True)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1, max_size=3),
    max_leaves=8,
)


def flattened(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        quoted = {name: name.replace("\\", "\\\\").replace("'", "\\'") for name in value}
        return [leaf for name in value for leaf in flattened(value[name], f"{path}['{quoted[name]}']")]
    if isinstance(value, list):
        return [leaf for number, inner in enumerate(value) for leaf in flattened(inner, f"{path}[{number}]")]
    return [(path, value)]


@given(st.dictionaries(names, values, min_size=1, max_size=3), st.integers(1, 4))
def test_any_arguments_survive_being_cut_into_pieces(arguments: dict[str, Any], size: int):
    events = [event(call("f", willContinue=True))]
    for path, value in flattened(arguments):
        cuts = range(0, max(len(value), 1), size) if isinstance(value, str) else ()
        for part in [value[cut : cut + size] for cut in cuts] if isinstance(value, str) else [value]:
            events.append(event(call(partialArgs=[piece(path, part)], willContinue=True)))

    assert arguments_of(*events, event(call(), reason="STOP")) == [arguments]


# Botched answers


@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"]
)
def test_an_answer_that_the_model_botched_is_empty_and_says_so(reason: str):
    translator = Translator()
    fed(translator, event({"text": "Hm", "thought": True}, reason=reason))

    assert translator.malformed
    assert translator.outcome() is Outcome.EMPTY


def test_what_came_before_the_model_botched_it_stands():
    translator = Translator()

    deltas = fed(translator, event({"text": "Hello"}, reason="MALFORMED_FUNCTION_CALL"))

    assert deltas + translator.finish() == [TextDelta("Hello"), FinishDelta(Finish.STOP)]
    assert not translator.malformed
    assert translator.outcome() is Outcome.ANSWERED


@pytest.mark.parametrize("reason", ["STOP", "OTHER", "SAFETY", "MAX_TOKENS", None])
def test_other_empty_answers_are_not_botched(reason: str | None):
    translator = Translator()
    fed(translator, event(reason=reason))

    assert not translator.malformed
