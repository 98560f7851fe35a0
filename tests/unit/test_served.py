"""Parts of tools that ran at Google's go out beside an answer, and back to where they stood in it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation import served
from proxy.translation.chat import parse
from proxy.translation.invalid import Invalid
from proxy.translation.openai import fold
from proxy.translation.profiles import resolve
from proxy.translation.reply import Finish, FinishDelta, ServedDelta, SignatureDelta, TextDelta, Translator
from proxy.translation.request import Options, build
from proxy.translation.usage import Usage
from tests.oracle import complaints
from tests.shared import needs_shared

MODEL = "gemini-3-flash-preview"
HI = {"role": "user", "content": "Hi"}
SEARCHED: dict[str, Any] = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["x"]}, "id": "s1"}}
FOUND: dict[str, Any] = {
    "toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {}, "id": "s1"},
    "thoughtSignature": "Zm91bmQ=",
}
CALLED = {"functionCall": {"name": "f", "args": {}, "id": "c1"}, "thoughtSignature": "Y2FsbA=="}
ALSO = {"functionCall": {"name": "f", "args": {"x": 1}, "id": "c2"}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def said(text: str, signature: str | None = None) -> dict[str, Any]:
    return {"text": text} | ({"thoughtSignature": signature} if signature else {})


def deltas_of(*events: list[dict[str, Any]]) -> list[Any]:
    translator = Translator()
    fed = [delta for parts in events for delta in translator.feed({"candidates": [{"content": {"parts": parts}}]})]
    return fed + translator.feed({"candidates": [{"finishReason": "STOP"}]}) + translator.finish()


def answered(*events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that a client of OpenAI's gets, and its next request."""
    message: dict[str, Any] = fold(deltas_of(*events), Usage(), "chatcmpl-1", MODEL, 1)["choices"][0]["message"]
    return message


def sent(message: dict[str, Any], kept: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in message.get("tool_calls") or ()
    ]
    chat = parse(
        {"model": MODEL, "messages": [HI, message, *(results or [HI])], "tools": TOOLS, "web_search_options": {}}
        | fields
    )
    return build(chat, resolve(MODEL), Options(signatures=kept or {}))


ANSWERS: list[list[dict[str, Any]]] = [
    [SEARCHED, FOUND, CALLED],
    [CALLED, SEARCHED, FOUND],
    [SEARCHED, FOUND, said("Wörter 😀", "dGV4dA==")],
    [said("One "), SEARCHED, FOUND, said("two", "dGV4dA=="), CALLED, SEARCHED, FOUND, ALSO],
    [said("One", "dGV4dA=="), SEARCHED, FOUND, CALLED, ALSO],
]


@needs_shared
@pytest.mark.parametrize("parts", ANSWERS)
def test_a_turn_that_the_client_sends_back_whole_is_the_turn_that_came(parts: list[dict[str, Any]]) -> None:
    built = sent(answered(parts))

    assert built["contents"][1] == {"role": "model", "parts": parts}
    assert built["toolConfig"]["includeServerSideToolInvocations"] is True
    assert complaints(MODEL, built) == []


@pytest.mark.parametrize("parts", ANSWERS)
def test_it_is_the_same_when_each_part_came_in_an_event_of_its_own(parts: list[dict[str, Any]]) -> None:
    assert sent(answered(*([part] for part in parts)))["contents"][1]["parts"] == parts


def test_a_turn_of_which_the_client_keeps_the_calls_alone_gets_the_rest_from_here() -> None:
    parts: list[dict[str, Any]] = [SEARCHED, FOUND, CALLED, FOUND, ALSO, SEARCHED]
    deltas = deltas_of(parts)
    [kept] = [delta for delta in deltas if isinstance(delta, ServedDelta)]
    message = answered(parts)
    del message["extra_content"]
    for call in message["tool_calls"]:
        call.pop("extra_content", None)

    assert served.keys(parse({"model": MODEL, "messages": [HI, message]})) == [served.key("c1")]
    built = sent(message, {"c1": "Y2FsbA==", served.key(kept.call_id): served.dumped(kept.parts)})

    assert built["contents"][1]["parts"] == parts


def test_what_the_client_brings_back_goes_before_what_was_kept() -> None:
    message = answered([SEARCHED, CALLED])

    assert served.keys(parse({"model": MODEL, "messages": [HI, message]})) == []
    built = sent(message, {served.key("c1"): served.dumped(served.read([{"part": FOUND}], "x"))})
    assert built["contents"][1]["parts"] == [SEARCHED, CALLED]


def test_a_model_that_does_not_search_any_more_is_not_told_of_it() -> None:
    built = sent(answered([SEARCHED, FOUND, CALLED]), web_search_options=None)

    assert built["contents"][1]["parts"] == [CALLED]
    assert "toolConfig" not in built


def test_a_history_of_searches_is_announced_without_functions_too() -> None:
    assert sent(answered([SEARCHED, FOUND, said("Yes")]), tools=None)["toolConfig"] == {
        "includeServerSideToolInvocations": True
    }
    assert "toolConfig" not in sent(answered([said("Yes")]), tools=None)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("x", ""),
        ([1], "[0]"),
        ([{"at": -1, "part": SEARCHED}], "[0].at"),
        ([{"calls": "1", "part": SEARCHED}], "[0].calls"),
        ([{}], "[0].part"),
        ([{"part": CALLED}], "[0].part"),
        ([{"part": SEARCHED | CALLED}], "[0].part"),
        ([{"part": {"toolCall": "x"}}], "[0].part"),
        ([{"part": {"toolCall": {"args": {"x": float("inf")}}}}], "[0].part"),
    ],
)
def test_what_is_no_part_of_google_s_is_refused_with_its_place(value: Any, place: str) -> None:
    message = {"role": "assistant", "content": "x", "extra_content": {"google": {"server_parts": value}}}

    with pytest.raises(Invalid) as caught:
        parse({"model": MODEL, "messages": [HI, message]})

    assert caught.value.param == f"messages[1].extra_content.google.server_parts{place}"


# Signatures of text


def test_the_signature_of_a_text_in_pieces_goes_with_the_whole_text() -> None:
    deltas = deltas_of([said("a", "c2ln")], [said("b")], [said("")])

    assert deltas == [TextDelta("a"), TextDelta("b"), SignatureDelta("c2ln"), FinishDelta(Finish.STOP)]


def test_a_signature_may_come_without_any_text() -> None:
    assert deltas_of([said("a")], [{"thoughtSignature": "c2ln"}])[1] == SignatureDelta("c2ln")


@pytest.mark.parametrize(
    "parts",
    [
        [said("a"), said("b", "c2ln")],
        [said("a", "c2ln"), said("b")],
        [{"executableCode": {"code": "1"}, "thoughtSignature": "Y29kZQ=="}, said("b", "c2ln")],
        [said("a", "c2ln"), {"codeExecutionResult": {"output": "1"}}],
    ],
)
def test_a_signature_stays_behind_where_its_text_comes_back_as_part_of_another(parts: list[dict[str, Any]]) -> None:
    assert not any(isinstance(delta, SignatureDelta) for delta in deltas_of(parts))


def test_a_signature_before_a_search_does_not_sign_the_text_after_it() -> None:
    deltas = deltas_of([said("a", "c2ln")], [SEARCHED], [said("b")])

    assert not any(isinstance(delta, SignatureDelta) for delta in deltas)
