"""Reading Anthropic's messages requests: what is understood, what is ignored, what is refused and where."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.anthropic_request import parse
from proxy.translation.dialects import seal
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from proxy.translation.turns import Chat, Inline, Link, Message, Role, Text, Tool, ToolCall, ToolChoice, ToolResult

HI = [{"role": "user", "content": "Hi"}]
WEATHER = {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}
CALL = {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Ulm"}}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
GIF = {**PNG, "media_type": "image/gif"}
A = {"type": "text", "text": "a"}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}


def read(**fields: Any) -> Chat:
    return parse({"model": "gemini-2.5-pro", "max_tokens": 100, "messages": HI, **fields})


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(**fields)
    return caught.value


def test_a_search_that_the_model_can_not_do_is_refused_at_the_tool_that_asks_for_it() -> None:
    chat = read(tools=[WEATHER, {"type": "web_search_20250305", "name": "look"}])

    with pytest.raises(Invalid) as caught:
        build(chat, resolve(chat.model), Options())
    assert caught.value.param == "tools[1]"


def said(*blocks: Any, role: str = "user") -> Message:
    *_, last = read(messages=[{"role": role, "content": list(blocks)}]).messages
    return last


def loop(*results: Any, before: tuple[Any, ...] = ()) -> tuple[Message, ...]:
    return read(
        messages=[*HI, {"role": "assistant", "content": [*before, CALL]}, {"role": "user", "content": list(results)}]
    ).messages[1:]


def result(content: Any = "dry", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": content, **fields}


def test_the_smallest_request() -> None:
    assert read() == Chat(
        model="gemini-2.5-pro",
        messages=(Message(Role.USER, (Text("Hi"),)),),
        max_tokens=100,
        include_thoughts=False,
    )


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_request_is_an_object(document: object) -> None:
    with pytest.raises(Invalid):
        parse(document)


def test_settings_are_read() -> None:
    chat = read(temperature=0.5, top_p=0.9, top_k=7, stop_sequences=["", "a", "b"], stream=True)

    assert (chat.temperature, chat.top_p, chat.top_k, chat.stop, chat.stream) == (0.5, 0.9, 7, ("a", "b"), True)


def test_what_means_nothing_here_is_ignored() -> None:
    chat = read(metadata={"user_id": "x"}, service_tier="auto", cache_control={"type": "ephemeral"}, top_k=0, new=1)

    assert chat == read()


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        (None, []),
        ([], []),
        ("Be kind.", ["Be kind."]),
        ([{**A, "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}], ["a", "b"]),
    ],
)
def test_the_system_prompt_comes_first(system: Any, texts: list[str]) -> None:
    *instructions, last = read(system=system).messages

    assert last.role is Role.USER
    assert instructions == ([Message(Role.SYSTEM, tuple(map(Text, texts)))] if texts else [])


def test_a_system_message_may_stand_between_the_others() -> None:
    chat = read(messages=[*HI, {"role": "system", "content": "Be brief."}])

    assert chat.messages[1] == Message(Role.SYSTEM, (Text("Be brief."),))


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "text", "text": "a", "citations": None}, (Text("a"),)),
        ({"type": "image", "source": PNG}, (Inline("image/png", "AAAA"),)),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x.y/z.png"}},
            (Link("https://x.y/z.png", place="messages[0].content[0].source.url"),),
        ),
        ({"type": "document", "source": PDF}, (Inline("application/pdf", "AAAA"),)),
        (
            {"type": "document", "source": PDF, "title": "T", "context": "C"},
            (Text("T\nC\n"), Inline("application/pdf", "AAAA")),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
            (Text("abc"),),
        ),
        ({"type": "document", "source": {"type": "content", "content": "abc"}}, (Text("abc"),)),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [A, {"type": "image", "source": PNG}]},
            },
            (Text("a"), Inline("image/png", "AAAA")),
        ),
        (
            {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "a"}]},
            (Text("T (s)\n"), Text("a")),
        ),
    ],
)
def test_a_user_may_send(block: Any, parts: tuple[Any, ...]) -> None:
    assert said(block) == Message(Role.USER, parts)


def test_an_answer_comes_back_without_what_was_only_for_reading() -> None:
    message = said(
        {"type": "thinking", "thinking": "hm", "signature": "another model's"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "See ![image](data:image/png;base64,AAAA)this."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        role="assistant",
    )

    assert message == Message(Role.ASSISTANT, (Text("See this."),))


def test_a_call_and_its_result_are_turns() -> None:
    assert loop(result(), {"type": "text", "text": "And now?"}) == (
        Message(Role.ASSISTANT, (ToolCall("c1", "weather", {"city": "Ulm"}),)),
        Message(Role.TOOL, (ToolResult("c1", {"result": "dry"}),)),
        Message(Role.USER, (Text("And now?"),)),
    )


@pytest.mark.parametrize(
    ("block", "response"),
    [
        (result(None), {"result": ""}),
        (result('{"sky": "blue"}'), {"sky": "blue"}),
        (result("{not JSON"), {"result": "{not JSON"}),
        (result([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), {"result": "a\nb"}),
        (result("no such city", is_error=True), {"error": "no such city"}),
        (result('{"a": 1}', is_error=True), {"error": '{"a": 1}'}),
    ],
)
def test_a_result_is_an_object(block: Any, response: dict[str, Any]) -> None:
    assert loop(block)[1].parts == (ToolResult("c1", response),)


def test_an_image_of_a_tool_stays_with_its_result() -> None:
    block = result([{"type": "text", "text": "a"}, {"type": "image", "source": PNG}])

    assert loop(block)[1].parts == (ToolResult("c1", {"result": "a"}), Inline("image/png", "AAAA"))


def test_a_signature_goes_back_to_its_call_alone() -> None:
    thought = {"type": "thinking", "thinking": "", "signature": seal("c1", "U0lH")}
    other = {"type": "tool_use", "id": "c2", "name": "weather", "input": {}}

    first, second = loop(result(), before=(other, thought))[0].parts

    assert first == ToolCall("c2", "weather", {})
    assert second == ToolCall("c1", "weather", {"city": "Ulm"}, "U0lH")


@pytest.mark.parametrize("signature", ["U0lH", "hajimi1.c1.no base64!", "hajimi1.c1", "hajimi1.", 7, None])
def test_a_signature_that_is_not_ours_is_passed_over(signature: Any) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": signature}

    [call] = loop(result(), before=(thought,))[0].parts

    assert call == ToolCall("c1", "weather", {"city": "Ulm"})


def test_tools_are_read() -> None:
    chat = read(tools=[WEATHER, {**WEATHER, "name": "b", "type": "custom", "strict": True}])

    assert chat.tools == (
        Tool("weather", "Tells it.", WEATHER["input_schema"]),  # type: ignore[arg-type]
        Tool("b", "Tells it.", WEATHER["input_schema"], strict=True),  # type: ignore[arg-type]
    )
    assert not chat.web_search


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "weather"}, ToolChoice("required", ("weather",))),
    ],
)
def test_a_choice_is_read(choice: Any, expected: ToolChoice | None) -> None:
    assert read(tools=[WEATHER], tool_choice=choice).tool_choice == expected


def test_one_call_at_a_time_can_be_asked_for() -> None:
    chat = read(tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})

    assert not chat.parallel_tool_calls


def test_web_search_is_a_tool_of_the_server() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    chat = read(tools=[search], tool_choice={"type": "tool", "name": "web_search"})

    assert chat.web_search
    assert chat.tools == ()
    assert chat.tool_choice == ToolChoice("auto")


@pytest.mark.parametrize(
    ("fields", "budget", "effort", "include"),
    [
        ({}, None, None, False),
        ({"thinking": {"type": "disabled"}}, 0, None, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, 2048, None, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}}, 2048, None, False),
        ({"thinking": {"type": "adaptive"}}, -1, None, True),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, None, "low", True),
        ({"output_config": {"effort": "max"}}, None, "max", False),
    ],
)
def test_thinking_is_shown_when_it_is_asked_for(
    fields: Any, budget: int | None, effort: str | None, include: bool
) -> None:
    chat = read(**fields)

    assert (chat.thinking_budget, chat.reasoning_effort, chat.include_thoughts) == (budget, effort, include)


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_schema_of_the_answer_is_read(name: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}

    chat = read(**{name: {"format": form} if name == "output_config" else form})

    assert chat.json_mode
    assert chat.json_schema == {"type": "object"}


def test_a_count_needs_no_limit_of_the_answer() -> None:
    assert parse({"model": "m", "messages": HI}, counting=True).max_tokens is None


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"model": None}, "model"),
        ({"model": " "}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "movie"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [CALL]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "assistant", "content": [result()]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [result()]}]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{**CALL, "id": ""}]}]}, "messages[0].content[0].id"),
        ({"messages": [{"role": "assistant", "content": [{**CALL, "input": "{}"}]}]}, "messages[0].content[0].input"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {**PNG, "data": "!"}}]}]},
            "messages[0].content[0].source.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": GIF}]}]},
            "messages[0].content[0].source.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "text", "data": "a"}}]}]},
            "messages[0].content[0].source.type",
        ),
        ({"system": 7}, "system"),
        ({"system": [{"type": "image", "source": PNG}]}, "system[0].type"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": [7]}, "stop_sequences[0]"),
        ({"stream": "yes"}, "stream"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "sometimes"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [WEATHER, {**WEATHER, "description": "Another."}]}, "tools[1].name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"mcp_servers": [{"url": "https://x.y"}]}, "mcp_servers"),
    ],
)
def test_a_mistake_is_refused_with_its_place(fields: Any, place: str) -> None:
    assert refusal(**fields).param == place


def test_a_tool_loop_is_written_as_gemini_wants_it() -> None:
    thought = {"type": "thinking", "thinking": "", "signature": seal("c1", "U0lH")}
    chat = read(
        tools=[WEATHER],
        messages=[
            *HI,
            {"role": "assistant", "content": [thought, CALL, {**CALL, "id": "c2"}]},
            {"role": "user", "content": [result("wet", tool_use_id="c2"), result("dry")]},
        ],
    )

    contents = build(chat, resolve("gemini-3-flash-preview"), Options())["contents"]

    args = {"city": "Ulm"}
    assert contents[1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "weather", "args": args}, "thoughtSignature": "U0lH"},
                {"functionCall": {"id": "c2", "name": "weather", "args": args}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "dry"}}},
                {"functionResponse": {"id": "c2", "name": "weather", "response": {"result": "wet"}}},
            ],
        },
    ]
