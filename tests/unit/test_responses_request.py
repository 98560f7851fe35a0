"""Reading OpenAI's response requests: what is understood, what is ignored, what is refused and where."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.dialects import seal
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from proxy.translation.responses_request import parse
from proxy.translation.turns import Chat, Inline, Link, Message, Role, Text, Tool, ToolCall, ToolChoice, ToolResult
from tests.anything import JSON, NEAR, deep, objects, reads

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Ulm"}'}
ULM = ToolCall("c1", "weather", {"city": "Ulm"})
PNG = "data:image/png;base64,AAAA"

patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)


def read(**fields: Any) -> Chat:
    return parse({"model": "gemini-2.5-pro", "input": "Hi", **fields})


def test_a_search_that_the_model_can_not_do_is_refused_at_the_tool_that_asks_for_it() -> None:
    chat = read(tools=[WEATHER, {"type": "web_search"}])

    with pytest.raises(Invalid) as caught:
        build(chat, resolve(chat.model), Options())
    assert caught.value.param == "tools[1]"


def turns(*items: Any) -> tuple[Message, ...]:
    return read(input=list(items)).messages


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(**fields)
    return caught.value


def output(said: Any = "dry", call_id: str = "c1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def test_the_smallest_request() -> None:
    assert read() == Chat(model="gemini-2.5-pro", messages=(Message(Role.USER, (Text("Hi"),)),), include_thoughts=False)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_request_is_an_object(document: object) -> None:
    with pytest.raises(Invalid):
        parse(document)


def test_settings_are_read() -> None:
    chat = read(max_output_tokens=9, temperature=1.5, top_p=0.9, stream=True, parallel_tool_calls=False)

    assert (chat.max_tokens, chat.temperature, chat.top_p, chat.stream) == (9, 1.5, 0.9, True)
    assert not chat.parallel_tool_calls


def test_what_means_nothing_here_is_ignored() -> None:
    chat = read(store=True, user="x", truncation="auto", service_tier="auto", metadata={"a": "b"}, include=["new"])

    assert chat == read()


def test_instructions_come_first() -> None:
    assert read(instructions="Be kind.").messages[0] == Message(Role.SYSTEM, (Text("Be kind."),))


def test_messages_may_be_short_or_full() -> None:
    assert turns(
        {"role": "developer", "content": "a"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "b"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "c", "annotations": []}, {"type": "refusal", "refusal": "d"}],
        },
        {"role": "user", "content": []},
    ) == (
        Message(Role.SYSTEM, (Text("a"),)),
        Message(Role.USER, (Text("b"),)),
        Message(Role.ASSISTANT, (Text("c"), Text("d"))),
        Message(Role.USER, ()),
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_image", "image_url": PNG, "detail": "low"}, Inline("image/png", "AAAA", "low")),
        (
            {"type": "input_image", "image_url": "https://x.y/z.png"},
            Link("https://x.y/z.png", place="input[0].content[0].image_url"),
        ),
        (
            {"type": "input_image", "file_id": "files/abc"},
            Link("https://generativelanguage.googleapis.com/v1beta/files/abc", place="input[0].content[0].file_id"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            Inline("application/pdf", "AAAA"),
        ),
        (
            {"type": "input_file", "file_url": "https://x.y/z.pdf"},
            Link("https://x.y/z.pdf", place="input[0].content[0].file_url"),
        ),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}, Inline("audio/mp3", "AAAA")),
    ],
)
def test_media_are_read(part: Any, expected: Any) -> None:
    assert turns({"role": "user", "content": [part]}) == (Message(Role.USER, (expected,)),)


def test_what_the_assistant_did_at_a_stretch_is_one_turn() -> None:
    other = {**CALL, "call_id": "c2", "arguments": ""}

    assert turns(
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": "Wait."},
        CALL,
        other,
        output("wet", "c2"),
        output(),
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "assistant", "content": "Dry."},
    ) == (
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.ASSISTANT, (Text("Wait."), ULM, ToolCall("c2", "weather", {}))),
        Message(Role.TOOL, (ToolResult("c2", {"result": "wet"}),)),
        Message(Role.TOOL, (ToolResult("c1", {"result": "dry"}),)),
        Message(Role.ASSISTANT, (Text("Dry."),)),
    )


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ('{"sky": "blue"}', (ToolResult("c1", {"sky": "blue"}),)),
        ([{"type": "input_text", "text": "a"}], (ToolResult("c1", {"result": "a"}),)),
        (
            [{"type": "input_image", "image_url": PNG}],
            (ToolResult("c1", {"result": ""}), Inline("image/png", "AAAA")),
        ),
    ],
)
def test_a_result_is_an_object(said: Any, parts: tuple[Any, ...]) -> None:
    assert turns(CALL, output(said))[1] == Message(Role.TOOL, parts)


def test_a_signature_goes_back_to_its_call_alone() -> None:
    thought = {"type": "reasoning", "summary": [], "encrypted_content": seal("c2", "U0lH")}
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}

    [message] = turns(thought, CALL, foreign, {**CALL, "call_id": "c2"})

    assert message.parts == (ULM, ToolCall("c2", "weather", {"city": "Ulm"}, "U0lH"))


def test_tools_are_read() -> None:
    chat = read(tools=[WEATHER, {"type": "function", "name": "b", "strict": True}, {"type": "web_search_preview"}])

    assert chat.tools == (Tool("weather", None, {"type": "object"}), Tool("b", strict=True))
    assert chat.web_search


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "weather"}, ToolChoice("required", ("weather",))),
        ({"type": "web_search_preview"}, None),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]},
            ToolChoice("required", ("weather",)),
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}, ToolChoice("none")),
    ],
)
def test_a_choice_is_read(choice: Any, expected: ToolChoice | None) -> None:
    assert read(tools=[WEATHER], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("form", "json_mode", "schema"),
    [
        (None, False, None),
        ({"type": "text"}, False, None),
        ({"type": "json_object"}, True, None),
        ({"type": "json_schema", "name": "a", "schema": {"type": "object"}}, True, {"type": "object"}),
    ],
)
def test_a_format_is_read(form: Any, json_mode: bool, schema: Any) -> None:
    chat = read(text={"format": form, "verbosity": "low"})

    assert (chat.json_mode, chat.json_schema) == (json_mode, schema)


@pytest.mark.parametrize(
    ("reasoning", "effort", "include"),
    [
        (None, None, False),
        ({"effort": "high"}, "high", False),
        ({"effort": "minimal", "summary": "auto"}, "minimal", True),
        ({"generate_summary": "concise"}, None, True),
    ],
)
def test_reasoning_is_shown_when_it_is_asked_for(reasoning: Any, effort: str | None, include: bool) -> None:
    chat = read(reasoning=reasoning)

    assert (chat.reasoning_effort, chat.include_thoughts) == (effort, include)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "movie"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "local_shell_call"}]}, "input[0].type"),
        ({"input": [output()]}, "input[0].call_id"),
        ({"input": [CALL, output(), output(call_id="c9")]}, "input[2].call_id"),
        ({"input": [{**CALL, "arguments": "{"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": "[]"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "call_id": None}]}, "input[0].call_id"),
        ({"input": [CALL, {"type": "function_call_output", "call_id": "c1"}]}, "input[1].output"),
        ({"instructions": 7}, "instructions"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"include": "all"}, "include"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].type"),
        ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ({"tools": [WEATHER, {**WEATHER, "description": "Another."}]}, "tools[1].name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
    ],
)
def test_a_mistake_is_refused_with_its_place(fields: Any, place: str) -> None:
    assert refusal(**fields).param == place


PART = st.builds(
    lambda kind, rest: {"type": kind, **rest},
    st.sampled_from(["input_text", "output_text", "input_image", "input_file", "input_audio", "refusal"]) | JSON,
    objects("text", "image_url", "file_data", "file_id", "file_url", "filename", "input_audio", "refusal", of=NEAR),
)
ITEM = st.builds(
    lambda kind, rest: {"type": kind, **rest},
    st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "item_reference"]) | NEAR,
    objects(
        *("role", "content", "call_id", "name", "arguments", "output", "encrypted_content"),
        of=NEAR | st.lists(PART, max_size=2),
    ),
)
FIELDS = (
    *("instructions", "stream", "max_output_tokens", "temperature", "reasoning", "text", "tool_choice", "include"),
    *("parallel_tool_calls", "background", "prompt", "conversation", "metadata"),
)
DOCUMENT = st.builds(
    lambda model, given_input, tools, rest: {"model": model, "input": given_input, "tools": tools, **rest},
    st.just("gemini-2.5-pro") | JSON,
    st.lists(ITEM, max_size=4) | NEAR,
    st.none() | st.lists(objects("type", "name", "parameters", "strict", of=NEAR), max_size=2) | NEAR,
    objects(*FIELDS, of=NEAR | objects("type", "name", "mode", "tools", "format", "effort", "summary", of=NEAR)),
)


@patient
@given(JSON | DOCUMENT)
def test_anything_is_read_or_refused_and_what_is_read_can_be_written(document: Any) -> None:
    if not reads(parse, document):
        return
    chat = parse(document)
    try:
        body = build(chat, resolve(chat.model), Options(random_string="aB3xY"))
    except Invalid:
        return
    assert orjson.loads(orjson.dumps(body)) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"input": deep(100_000, "x")},
        {"input": [{"role": "user", "content": deep(100_000, "x")}]},
        {"input": [{**CALL, "arguments": "[" * 100_000}]},
        {"tools": [{**WEATHER, "parameters": {"a": deep(100_000, 1)}}]},
        {"text": {"format": {"type": "json_schema", "schema": {"a": deep(100_000, 1)}}}},
    ],
)
def test_depth_does_no_harm(fields: dict[str, Any]) -> None:
    assert not reads(parse, {"model": "m", "input": "x", **fields})
