"""Reading functions, calls and results of OpenAI chats: what is understood, what is refused and where."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.turns import Inline, Message, Role, Text, Tool, ToolCall, ToolChoice, ToolResult

HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
F = {"type": "function", "function": {"name": "f"}}
G = {"type": "function", "function": {"name": "g"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def read(*messages: dict[str, Any], **fields: Any) -> Chat:
    return parse({"model": "gemini-2.5-pro", "messages": list(messages) or [HI], **fields})


def refusal(*messages: dict[str, Any], **fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(*messages, **fields)
    return caught.value


def call(call_id: str = "call_1", name: str = "f", arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def asks(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **fields}


def answer(call_id: str = "call_1", content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_functions_are_read() -> None:
    function = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}

    chat = read(tools=[{"type": "function", "function": function}, G])

    assert chat.tools == (Tool("f", "d", SCHEMA, True), Tool("g"))
    assert (chat.tool_choice, chat.parallel_tool_calls, chat.old_functions) == (None, True, False)


def test_the_older_form_of_functions_is_read() -> None:
    chat = read(functions=[{"name": "f", "parameters": SCHEMA}, {"name": "g"}], function_call={"name": "g"})

    assert chat.tools == (Tool("f", None, SCHEMA), Tool("g"))
    assert chat.tool_choice == ToolChoice("required", ("g",))
    assert chat.old_functions


def test_a_function_that_stands_there_twice_is_one() -> None:
    assert read(tools=[F, F, G]).tools == (Tool("f"), Tool("g"))


def test_null_is_unset() -> None:
    assert read(tools=None, tool_choice=None, functions=None, function_call=None, parallel_tool_calls=None) == read()
    assert read(tools=[{"type": "function", "function": {"name": "f", "parameters": None, "strict": None}}]).tools == (
        Tool("f"),
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "g"}}, ToolChoice("required", ("g",))),
        ({"type": "function", "name": "g"}, ToolChoice("required", ("g",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F, G, F]}},
            ToolChoice("auto", ("f", "g")),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [G]}},
            ToolChoice("required", ("g",)),
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("required", ("f",)),
        ),
    ],
)
def test_every_form_of_choice_is_read(choice: Any, read_as: ToolChoice) -> None:
    assert read(tools=[F, G], tool_choice=choice).tool_choice == read_as


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_among_nothing_is_none(choice: str) -> None:
    assert read(tool_choice=choice, tools=[]).tool_choice is None
    assert read(function_call=choice).tool_choice is None


def test_parallel_calls_may_be_turned_off() -> None:
    assert not read(tools=[F], parallel_tool_calls=False).parallel_tool_calls


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [F, {"type": "custom", "custom": {"name": "c"}}]}, "tools[1].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": 5}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": "f"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": " "}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": 5}}]},
            "tools[0].function.description",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]}, "tools[0].function.strict"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [F, {"type": "function", "function": {"name": "f", "description": "other"}}]},
            "tools[1].function.name",
        ),
        ({"tools": [{"type": "function", "function": {"name": f"f{n}"}} for n in range(513)]}, "tools"),
        ({"functions": [{"name": "f"}, {"name": "f", "description": "d"}]}, "functions[1].name"),
        ({"functions": ["f"]}, "functions[0]"),
        ({"functions": [{"name": "f"}], "tools": [F]}, "functions"),
        ({"functions": [{"name": "f"}], "function_call": "sometimes"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [F], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [F], "tool_choice": 5}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": [F], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [F], "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"tools": [F], "tool_choice": G}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.tools"),
        (
            {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": [F]}}},
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [5]}}},
            "tool_choice.allowed_tools.tools[0]",
        ),
        ({"tools": [F], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
def test_a_mistake_in_the_functions_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


def test_a_choice_of_an_unknown_type_is_told_the_types_there_are() -> None:
    sentence = str(refusal(tools=[F], tool_choice={"type": "auto"}))

    assert sentence == 'tool_choice.type must be one of function, allowed_tools, not "auto".'


def test_calls_and_results_are_parts() -> None:
    chat = read(
        HI,
        asks(call("call_1", "f", '{"city": "Paris"}'), call("call_2", "g", ""), content="Let me see."),
        answer("call_2", "22"),
        answer("call_1", '{"sky": "blue"}'),
    )

    assert chat.messages[1:] == (
        Message(
            Role.ASSISTANT,
            (Text("Let me see."), ToolCall("call_1", "f", {"city": "Paris"}), ToolCall("call_2", "g", {})),
        ),
        Message(Role.TOOL, (ToolResult("call_2", {"result": "22"}),)),
        Message(Role.TOOL, (ToolResult("call_1", {"sky": "blue"}),)),
    )


def test_older_calls_and_results_go_by_name() -> None:
    chat = read(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "ok"},
    )

    assert [message.parts for message in chat.messages] == [
        (ToolCall("", "f", {"a": 1}),),
        (ToolResult("", {"result": "ok"}, "f"),),
    ]


@pytest.mark.parametrize(
    ("arguments", "read_as"),
    [(None, {}), ("", {}), ("  ", {}), ("null", {}), ("{}", {}), ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
     ({"a": 1}, {"a": 1})],
)  # fmt: skip
def test_arguments_are_an_object(arguments: Any, read_as: Any) -> None:
    assert read(asks(call(arguments=arguments))).messages[0].parts == (ToolCall("call_1", "f", read_as),)


@pytest.mark.parametrize(
    "arguments",
    [
        "{",
        "[]",
        "5",
        '"a"',
        "true",
        "{'a': 1}",
        [],
        5,
        '{"a":' * 101 + "1" + "}" * 101,
        "[" * 5000,
        '"\ud800"',
        "{} {}",
    ],
)
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    error = refusal(HI, asks(call("call_0"), call("call_1", arguments=arguments)))

    assert error.param == "messages[1].tool_calls[1].function.arguments"


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("sunny", {"result": "sunny"}),
        ("", {"result": ""}),
        (None, {"result": ""}),
        (' {"a": {"b": [1]}}\n', {"a": {"b": [1]}}),
        ("{}", {}),
        ("{not json", {"result": "{not json"}),
        ("[1, 2]", {"result": "[1, 2]"}),
        ("5", {"result": "5"}),
        ('{"a":' * 150 + "1" + "}" * 150, {"result": '{"a":' * 150 + "1" + "}" * 150}),
        ([{"type": "text", "text": '{"a": 1}'}], {"a": 1}),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], {"result": "one\ntwo"}),
        ([], {"result": ""}),
    ],
)
def test_a_result_is_an_object(content: Any, response: Any) -> None:
    chat = read(asks(call()), answer(content=content))

    assert chat.messages[1].parts == (ToolResult("call_1", response),)


def test_media_of_a_result_stand_beside_it() -> None:
    chat = read(asks(call()), answer(content=[PICTURE, {"type": "text", "text": "seen"}]))

    assert chat.messages[1].parts == (ToolResult("call_1", {"result": "seen"}), Inline("image/png", "AAAA"))


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([asks("f")], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls"),
        ([asks(call() | {"type": "custom"})], "messages[0].tool_calls[0].type"),
        ([asks(call() | {"id": None})], "messages[0].tool_calls[0].id"),
        ([asks(call(""))], "messages[0].tool_calls[0].id"),
        ([asks(call() | {"function": "f"})], "messages[0].tool_calls[0].function"),
        ([asks({"id": "c"})], "messages[0].tool_calls[0].function.name"),
        ([asks(call(name=""))], "messages[0].tool_calls[0].function.name"),
        ([{"role": "assistant", "function_call": "f"}], "messages[0].function_call"),
        (
            [{"role": "assistant", "function_call": {"name": "f", "arguments": "["}}],
            "messages[0].function_call.arguments",
        ),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "content": "x", "tool_call_id": 5}], "messages[0].tool_call_id"),
        ([asks(call()), {"role": "tool", "tool_call_id": "call_1"}], "messages[1].content"),
        ([answer()], "messages[0].tool_call_id"),
        ([answer(), asks(call())], "messages[0].tool_call_id"),
        ([HI, asks(call()), answer(), answer("call_2")], "messages[3].tool_call_id"),
        ([{"role": "function", "content": "x"}], "messages[0].name"),
        ([asks(call()), {"role": "function", "content": "x", "name": "f"}], "messages[1].name"),
        ([asks(call(extra_content=5))], "messages[0].tool_calls[0].extra_content"),
        ([asks(call(extra_content={"google": 5}))], "messages[0].tool_calls[0].extra_content.google"),
        (
            [asks(call(extra_content={"google": {"thought_signature": "?"}}))],
            "messages[0].tool_calls[0].extra_content.google.thought_signature",
        ),
        (
            [{"role": "assistant", "content": "x", "extra_content": {"vertex": {"thought_signature": 5}}}],
            "messages[0].extra_content.vertex.thought_signature",
        ),
        ([{"role": "assistant", "images": {}}], "messages[0].images"),
        (
            [
                {
                    "role": "assistant",
                    "images": [{"type": "image_url", "image_url": {"url": "data:image/gif;base64,AA"}}],
                }
            ],
            "messages[0].images[0].image_url",
        ),
    ],
)
def test_a_mistake_in_calls_and_results_is_named_by_its_place(messages: list[Any], param: str) -> None:
    assert refusal(*messages).param == param


def signed(signature: str, house: str = "google") -> dict[str, Any]:
    return {"extra_content": {house: {"thought_signature": signature}}}


def test_signatures_stay_with_their_parts() -> None:
    chat = read(
        asks(call("a", **signed("c2lnMQ==")), call("b"), call("c", **signed("_-_-", "vertex"))),
        {"role": "assistant", "content": "Hello", **signed("c2lnMg==")},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "x", **signed("AAAA")}, {"type": "text", "text": "y"}],
        },
        {"role": "assistant", "content": "![image](data:image/png;base64,AAAA)", **signed("AAAA")},
        {"role": "assistant", "content": None, **signed("AAAA")},
        asks(call("d"), **signed("AAAA")),
        {"role": "assistant", "content": "plain", "extra_content": None},
        {"role": "assistant", "content": "plain", "extra_content": {"google": {"thought": True}}},
    )

    assert [message.parts for message in chat.messages] == [
        (ToolCall("a", "f", {}, "c2lnMQ=="), ToolCall("b", "f", {}), ToolCall("c", "f", {}, "_-_-")),
        (Text("Hello", "c2lnMg=="),),
        (Text("x", "AAAA"), Text("y")),
        (Text("", "AAAA"),),
        (Text("", "AAAA"),),
        (ToolCall("d", "f", {}),),
        (Text("plain"),),
        (Text("plain"),),
    ]


def test_images_beside_an_answer_are_part_of_it() -> None:
    chat = read({"role": "assistant", "content": "Here: ![image](data:image/png;base64,AAAA)", "images": [PICTURE]})

    assert chat.messages[0].parts == (Text("Here: "), Inline("image/png", "AAAA"))


def test_sound_of_an_earlier_answer_may_be_left_out_where_there_is_text() -> None:
    chat = read({"role": "assistant", "content": "Hello", "audio": {"id": "audio_1"}})

    assert chat.messages[0].parts == (Text("Hello"),)
