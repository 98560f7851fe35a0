"""Functions on the wire: declarations, names, choices, calls with their results and signatures, search beside them."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.chat import parse
from proxy.translation.contents import CONTINUE, SKIP_SIGNATURE
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build, call_ids, tool_names

FLASH_2_0, PRO, FLASH_3, GEMMA_3, GEMMA_4 = (
    "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemma-3-27b-it", "gemma-4-31b-it",
)  # fmt: skip
HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def call(call_id: str, name: str = "f", signature: str | None = None, arguments: str = "{}") -> dict[str, Any]:
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}


def asks(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **fields}


def answer(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def body(*messages: dict[str, Any], model: str = PRO, options: Options | None = None, **fields: Any) -> dict[str, Any]:
    chat = parse({"model": model, "messages": list(messages) or [HI], **fields})
    return build(chat, resolve(model), options or Options())


def refusal(*messages: dict[str, Any], **fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        body(*messages, **fields)
    return caught.value


def turns(sent: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """Return roles and parts, parts as short as they can be told apart."""
    return [(content["role"], [short(part) for part in content["parts"]]) for content in sent["contents"]]


def short(part: dict[str, Any]) -> Any:
    if "functionCall" in part:
        return "call", part["functionCall"].get("id"), part["functionCall"]["name"], part.get("thoughtSignature")
    if "functionResponse" in part:
        response = part["functionResponse"]
        return "result", response.get("id"), response["name"], response["response"]
    return part.get("text", part)


def test_functions_are_declared_in_json_schema() -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", **SCHEMA}

    sent = body(tools=[tool("f", description="d", parameters=schema), tool("g", parameters={}), tool("h")])

    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": SCHEMA},
                {"name": "g"},
                {"name": "h"},
            ]
        }
    ]
    assert "toolConfig" not in sent


@pytest.mark.parametrize("model", [GEMMA_4, "gemini-1.5-pro"])
def test_functions_are_declared_in_geminis_schema_where_json_schema_is_not_read(model: str) -> None:
    sent = body(model=model, tools=[tool("f", parameters=SCHEMA | {"additionalProperties": False})])

    properties = {"city": {"type": "STRING"}}
    assert sent["tools"][0]["functionDeclarations"] == [
        {"name": "f", "parameters": {"type": "OBJECT", "properties": properties, "required": ["city"]}}
    ]


def test_names_are_made_legal_and_found_again() -> None:
    names = ["read file", "read_file", "0day", "日本", "x" * 70, "x" * 64, "mcp.server:tool-1", "a", "read/file"]
    messages = [HI, asks(call("c", "old name")), answer("c")]
    chat = parse({"model": PRO, "messages": messages, "tools": [tool(name) for name in names]})

    declared = build(chat, resolve(PRO), Options())["tools"][0]["functionDeclarations"]

    legal = [each["name"] for each in declared]
    assert legal == [
        "read_file_2", "read_file", "_0day", "__", "x" * 62 + "_2", "x" * 64, "mcp.server:tool-1", "a", "read_file_3",
    ]  # fmt: skip
    assert tool_names(chat) == dict(zip([*legal, "old_name"], [*names, "old name"], strict=True))


def test_calls_go_by_the_name_that_was_declared() -> None:
    tools = [tool("read file"), tool("g")]
    choice = {"type": "function", "function": {"name": "read file"}}

    sent = body(HI, asks(call("c", "read file")), answer("c"), tools=tools, tool_choice=choice)

    assert turns(sent)[1:] == [
        ("model", [("call", "c", "read_file", None)]),
        ("user", [("result", "c", "read_file", {"result": "ok"})]),
    ]
    assert sent["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["read_file"]},
    }


ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("g")]}}
LOOSE, STRICT = [tool("f"), tool("g")], [tool("f", strict=True), tool("g", strict=True)]


@pytest.mark.parametrize(
    ("model", "tools", "choice", "config"),
    [
        (PRO, LOOSE, None, None),
        (PRO, LOOSE, "auto", {"mode": "AUTO"}),
        (PRO, LOOSE, "none", {"mode": "NONE"}),
        (PRO, LOOSE, "required", {"mode": "ANY"}),
        (PRO, LOOSE, tool("g"), {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        (PRO, LOOSE, ALLOWED, {"mode": "VALIDATED", "allowedFunctionNames": ["g"]}),
        (PRO, [tool("f", strict=True), tool("g")], None, None),
        (PRO, STRICT, None, {"mode": "VALIDATED"}),
        (PRO, STRICT, "auto", {"mode": "VALIDATED"}),
        (PRO, STRICT, "none", {"mode": "NONE"}),
        (PRO, STRICT, "required", {"mode": "ANY"}),
        (FLASH_2_0, STRICT, None, None),
        (FLASH_2_0, STRICT, "auto", {"mode": "AUTO"}),
        (GEMMA_4, LOOSE, "required", {"mode": "ANY"}),
    ],
)
def test_choices_are_modes(model: str, tools: Any, choice: Any, config: Any) -> None:
    sent = body(model=model, tools=tools, tool_choice=choice)

    assert sent.get("toolConfig", {}).get("functionCallingConfig") == config
    assert len(sent["tools"][0]["functionDeclarations"]) == 2


def test_a_choice_among_some_is_all_that_older_models_are_told_of() -> None:
    sent = body(model=FLASH_2_0, tools=LOOSE, tool_choice=ALLOWED)

    assert sent["tools"] == [{"functionDeclarations": [{"name": "g"}]}]
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}


def test_parallel_calls_have_no_switch() -> None:
    assert body(tools=LOOSE, parallel_tool_calls=False) == body(tools=LOOSE)


def test_results_follow_their_calls_in_their_order() -> None:
    sent = body(
        HI,
        asks(call("a", "f", arguments='{"x": 1}'), call("b", "g"), content="Let me see."),
        answer("b", '{"sky": "blue"}'),
        answer("a", "1"),
        {"role": "assistant", "content": "Blue."},
        {"role": "user", "content": "Again"},
        asks(call("c")),
        answer("c"),
    )

    assert turns(sent) == [
        ("user", ["Hi"]),
        ("model", ["Let me see.", ("call", "a", "f", None), ("call", "b", "g", None)]),
        ("user", [("result", "a", "f", {"result": "1"}), ("result", "b", "g", {"sky": "blue"})]),
        ("model", ["Blue."]),
        ("user", ["Again"]),
        ("model", [("call", "c", "f", None)]),
        ("user", [("result", "c", "f", {"result": "ok"})]),
    ]
    assert sent["contents"][1]["parts"][1]["functionCall"]["args"] == {"x": 1}


NONE = {"error": "no result"}


def test_missing_results_are_filled_in() -> None:
    sent = body(HI, asks(call("a"), call("b")), answer("b"), {"role": "user", "content": "Never mind"})

    assert turns(sent)[2] == (
        "user",
        [("result", "a", "f", NONE), ("result", "b", "f", {"result": "ok"}), "Never mind"],
    )


def test_a_chat_that_ends_with_a_call_is_answered_for() -> None:
    assert turns(body(HI, asks(call("a")), model="gemini-4-neon"))[-1] == ("user", [("result", "a", "f", NONE)])


def test_a_late_result_is_put_after_its_call() -> None:
    sent = body(
        HI, asks(call("a")), {"role": "assistant", "content": "Wait."}, {"role": "user", "content": "?"}, answer("a")
    )

    assert turns(sent)[1:] == [
        ("model", [("call", "a", "f", None)]),
        ("user", [("result", "a", "f", {"result": "ok"})]),
        ("model", ["Wait."]),
        ("user", ["?"]),
    ]


def test_ids_used_again_answer_the_latest_calls_in_order() -> None:
    sent = body(
        HI, asks(call("x")), answer("x", "1"), asks(call("x", "g"), call("x", "h")), answer("x", "2"), answer("x", "3")
    )

    results = [part for _role, parts in turns(sent) for part in parts if part[0] == "result"]
    assert results == [
        ("result", "x", "f", {"result": "1"}),
        ("result", "x", "g", {"result": "2"}),
        ("result", "x", "h", {"result": "3"}),
    ]


def test_a_result_that_comes_again_takes_the_place_of_the_first() -> None:
    sent = body(HI, asks(call("x")), answer("x", "1"), answer("x", "2"))

    assert turns(sent)[2] == ("user", [("result", "x", "f", {"result": "2"})])


def test_older_calls_have_no_id() -> None:
    function = {"name": "f", "arguments": ""}

    sent = body(
        HI,
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "f", "content": "2"},
        functions=[{"name": "f"}],
    )

    assert turns(sent)[1:] == [
        ("model", [("call", None, "f", None)]),
        ("user", [("result", None, "f", {"result": "1"})]),
        ("model", [("call", None, "f", None)]),
        ("user", [("result", None, "f", {"result": "2"})]),
    ]
    assert sent["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


def test_media_of_results_stand_after_the_results() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    sent = body(HI, asks(call("a"), call("b")), answer("a", [picture]), answer("b"))

    assert turns(sent)[2][1] == [
        ("result", "a", "f", {"result": ""}),
        ("result", "b", "f", {"result": "ok"}),
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]


def test_a_chat_that_begins_with_a_call_gets_a_user_turn_first() -> None:
    sent = body({"role": "system", "content": "Be kind."}, asks(call("a")), answer("a"))

    assert turns(sent)[:2] == [("user", [" "]), ("model", [("call", "a", "f", None)])]


def test_signatures_come_back_on_their_parts() -> None:
    messages = [
        HI,
        asks(call("a", signature="c2lnMQ=="), call("b")),
        answer("a"),
        answer("b"),
        asks(call("c"), call("d")),
        answer("c"),
        answer("d"),
    ]
    kept = {"a": "b3RoZXI=", "c": "c2lnMg==", "unheard": "AAAA"}

    sent = body(*messages, model=FLASH_3, options=Options(signatures=kept))

    assert [part for role, parts in turns(sent) if role == "model" for part in parts] == [
        ("call", "a", "f", "c2lnMQ=="),
        ("call", "b", "f", None),
        ("call", "c", "f", "c2lnMg=="),
        ("call", "d", "f", None),
    ]


def test_a_signature_comes_back_on_an_older_call_too() -> None:
    older = {"name": "f", "arguments": "{}", "extra_content": {"google": {"thought_signature": "c2lnMQ=="}}}
    messages = [
        HI,
        {"role": "assistant", "content": None, "function_call": older},
        {"role": "function", "name": "f", "content": "ok"},
    ]

    sent = body(*messages, model=FLASH_3)

    assert [part["thoughtSignature"] for content in sent["contents"] for part in content["parts"]
            if "functionCall" in part] == ["c2lnMQ=="]  # fmt: skip


def test_a_signature_comes_back_on_an_image_too() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
        "extra_content": {"google": {"thought_signature": "c2lnMQ=="}},
    }

    sent = body(HI, {"role": "assistant", "content": "Here.", "images": [image]}, HI, model=FLASH_3)

    assert sent["contents"][1]["parts"][1] == {
        "inlineData": {"mimeType": "image/png", "data": "AAAA"},
        "thoughtSignature": "c2lnMQ==",
    }


def test_lost_signatures_are_replaced_in_the_current_turn_alone() -> None:
    messages = [
        HI,
        asks(call("a")),
        answer("a"),
        {"role": "user", "content": "Next"},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "Now"},
        asks(call("b"), call("c", signature="c2ln")),
        answer("b"),
        answer("c"),
        asks(call("d", signature="c2ln"), call("e")),
        answer("d"),
        answer("e"),
        {"role": "system", "content": "Go on."},
    ]

    def signatures(model: str) -> list[Any]:
        sent = turns(body(*messages, model=model))
        return [part[3] for role, parts in sent if role == "model" for part in parts if part[0] == "call"]

    assert signatures(FLASH_3) == [None, SKIP_SIGNATURE, "c2ln", "c2ln", None]
    assert signatures("gemini-flash-latest") == [None, SKIP_SIGNATURE, "c2ln", "c2ln", None]
    assert signatures(PRO) == [None, None, "c2ln", "c2ln", None]


def test_a_call_the_user_has_spoken_after_needs_no_signature() -> None:
    sent = body(HI, asks(call("a")), answer("a"), {"role": "assistant", "content": "Done."}, HI, model=FLASH_3)

    assert turns(sent)[1] == ("model", [("call", "a", "f", None)])


def test_signed_texts_are_neither_joined_nor_changed() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}

    sent = body(
        HI,
        {"role": "assistant", "name": "Bot", "content": "One", **extra},
        {"role": "assistant", "name": "Bot", "content": "Two"},
        HI,
        {"role": "assistant", "content": "", **extra},
        {"role": "assistant", "content": ""},
        HI,
    )

    assert sent["contents"][1]["parts"] == [{"text": "One", "thoughtSignature": "c2ln"}, {"text": "Bot: Two"}]
    assert sent["contents"][3]["parts"] == [{"text": "", "thoughtSignature": "c2ln"}]


def test_ids_to_look_up_are_those_without_a_signature() -> None:
    old = {"role": "assistant", "function_call": {"name": "f"}}
    messages = [asks(call("a"), call("b", signature="AAAA")), asks(call("c"), call("a")), old, HI]

    assert call_ids(parse({"model": PRO, "messages": messages})) == ["a", "c"]


@pytest.mark.parametrize("model", [GEMMA_3, "gemini-2.5-flash-image", "gemini-3-pro-image-preview"])
def test_models_without_functions_are_told_of_none(model: str) -> None:
    messages = [HI, asks(call("a", "f", arguments='{"x":1}')), answer("a")]

    sent = body(*messages, model=model, tools=LOOSE, tool_choice="auto")

    assert not {"tools", "toolConfig"} & sent.keys()
    assert turns(sent) == [("user", ["Hi"]), ("model", ['[f({"x":1})]']), ("user", ['[f: {"result":"ok"}]'])]
    assert refusal(model=model, tools=LOOSE, tool_choice="required").param == "tool_choice"


def test_functions_beside_search() -> None:
    search = {"googleSearch": {}}
    declared = {"functionDeclarations": [{"name": "f"}, {"name": "g"}]}

    on_3 = body(model=FLASH_3, tools=LOOSE, web_search_options={})
    assert on_3["tools"] == [declared, search]
    assert on_3["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert body(model=f"{FLASH_3}-search", tools=LOOSE, tool_choice="required")["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY"},
        "includeServerSideToolInvocations": True,
    }

    assert body(model=f"{PRO}-search", tools=LOOSE)["tools"] == [declared]
    assert body(model=f"{PRO}-search", tools=LOOSE, tool_choice="none")["tools"] == [search]
    assert body(tools=LOOSE, tool_choice="none", web_search_options={})["tools"] == [search]
    assert "toolConfig" not in body(tools=LOOSE, tool_choice="none", web_search_options={})
    assert refusal(tools=LOOSE, web_search_options={}).param == "web_search_options"


def test_the_search_prompt_is_said_where_search_is_and_not_among_results() -> None:
    messages = [HI, asks(call("a")), answer("a")]
    options = Options(search_prompt="(search)")

    on_3 = body(*messages, model=f"{FLASH_3}-search", tools=LOOSE, options=options)
    on_2_5 = body(*messages, model=f"{PRO}-search", tools=LOOSE, options=options)

    assert [parts for role, parts in turns(on_3) if "(search)" in parts] == [["Hi", "(search)"]]
    assert not [parts for role, parts in turns(on_2_5) if "(search)" in parts]


def test_functions_do_not_go_with_cached_content() -> None:
    cached = {"cached_content": "cachedContents/a"}

    assert refusal(tools=LOOSE, **cached).param == "tools"
    assert "tools" not in body(tools=LOOSE, tool_choice="none", **cached)


@pytest.mark.parametrize(
    "fields", [{"tools": LOOSE}, {"tools": LOOSE, "model": GEMMA_3}, {"response_format": {"type": "json_object"}}]
)
def test_the_random_string_is_not_sent_with_functions_or_json(fields: dict[str, Any]) -> None:
    assert "x1Y2z" not in str(body(options=Options(random_string="x1Y2z"), **fields))


def test_the_random_string_is_not_sent_where_functions_were_called() -> None:
    assert "x1Y2z" not in str(body(HI, asks(call("a")), answer("a"), HI, options=Options(random_string="x1Y2z")))


def test_a_begun_answer_after_results_is_asked_for_where_the_model_refuses_it() -> None:
    sent = body(HI, asks(call("a")), answer("a"), {"role": "assistant", "content": "So"}, model="gemini-4-neon")

    assert turns(sent)[-1] == ("user", [CONTINUE])
    assert turns(sent)[1][1] == [("call", "a", "f", None)]
