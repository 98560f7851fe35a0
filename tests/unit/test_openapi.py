"""What /openapi.json says of a chat is what the parsers take, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from proxy.openapi_schemas import SCHEMAS
from proxy.translation import anthropic_request, chat, responses_request
from proxy.translation.invalid import Invalid
from proxy.translation.turns import Chat
from tests.chats import CHATS

Parse = Callable[[object], Chat]

HI = [{"role": "user", "content": "Hi"}]
LEAST: dict[str, dict[str, Any]] = {
    "ChatRequest": {"model": "gemini-2.5-pro", "messages": HI},
    "MessagesRequest": {"model": "gemini-2.5-pro", "messages": HI, "max_tokens": 9},
    "ResponsesRequest": {"model": "gemini-2.5-pro", "input": "Hi"},
}
PARSERS: dict[str, Parse] = {
    "ChatRequest": chat.parse,
    "MessagesRequest": anthropic_request.parse,
    "ResponsesRequest": responses_request.parse,
}
# Looked for, to be refused with a sentence of their own.
REFUSED = {
    "ChatRequest": set(),
    "MessagesRequest": {"thread", "mcp_servers"},
    "ResponsesRequest": {"previous_response_id", "conversation", "prompt", "background"},
}
# Spelled otherwise too, as extra_body.google is: described once.
CAMEL = re.compile(r"[a-z]+[A-Z]")
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def fits(value: Any, shape: dict[str, Any]) -> bool:
    """Return whether a value has a shape; only the words are known that the description uses."""
    if "$ref" in shape:
        return fits(value, SCHEMAS[shape["$ref"].rpartition("/")[2]])
    types = shape.get("type", [])
    names = [types] if isinstance(types, str) else types
    return (
        (not names or any(is_of(value, name) for name in names))
        and ("enum" not in shape or value in shape["enum"])
        and ("anyOf" not in shape or any(fits(value, each) for each in shape["anyOf"]))
        and all(check(value, shape) for check in (text_fits, number_fits, list_fits, object_fits))
    )


def is_of(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def text_fits(value: Any, shape: dict[str, Any]) -> bool:
    if not isinstance(value, str):
        return True
    return len(value) >= shape.get("minLength", 0) and bool(re.search(shape.get("pattern", ""), value))


def number_fits(value: Any, shape: dict[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return shape.get("minimum", value) <= value <= shape.get("maximum", value)


def list_fits(value: Any, shape: dict[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    sizes = shape.get("minItems", 0) <= len(value) <= shape.get("maxItems", len(value))
    return sizes and all(fits(each, shape.get("items", {})) for each in value)


def object_fits(value: Any, shape: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    known = shape.get("properties", {})
    return set(shape.get("required", ())) <= value.keys() and all(
        fits(value[name], known[name]) for name in value.keys() & known.keys()
    )


def is_taken(name: str, document: dict[str, Any]) -> bool:
    try:
        PARSERS[name](document)
    except Invalid:
        return False
    return True


class Noting(dict[str, Any]):
    """A document that notes which of its fields are asked for."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


@pytest.mark.parametrize("name", PARSERS)
def test_every_field_that_a_parser_reads_is_described_and_no_other(name: str) -> None:
    document = Noting(LEAST[name] | {"stream": True})
    PARSERS[name](document)

    read = {field for field in document.asked if not CAMEL.match(field)} - REFUSED[name]
    # Given back in a response as they came.
    read |= {"metadata"} if name == "ResponsesRequest" else set()
    assert read == SCHEMAS[name]["properties"].keys()


def test_every_field_of_a_message_is_described_and_no_other() -> None:
    asked = set()
    for message in (
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ):
        noting = Noting(message)
        before = [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}]
        chat.parse({"model": "m", "messages": [*before, noting]})
        asked |= noting.asked

    assert asked == SCHEMAS["ChatMessage"]["properties"].keys()


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(document=CHATS)
def test_every_chat_in_order_fits_the_description(document: dict[str, Any]) -> None:
    assert fits({"model": "gemini-2.5-pro", **document}, SCHEMAS["ChatRequest"])


def limits() -> Iterator[Any]:
    for name, least in LEAST.items():
        for field, shape in SCHEMAS[name]["properties"].items():
            for end, step in (("minimum", -1), ("maximum", 1)):
                if end in shape:
                    yield pytest.param(name, least, field, shape[end], step, id=f"{name}-{field}-{end}")


@pytest.mark.parametrize(("name", "least", "field", "end", "step"), list(limits()))
def test_a_number_is_taken_to_its_end_and_not_beyond(
    name: str, least: dict[str, Any], field: str, end: int, step: int
) -> None:
    for value in (end, end + step):
        document = least | {field: value}
        assert is_taken(name, document) is fits(document, SCHEMAS[name]), value


WORDS = {
    "reasoning_effort": lambda word: {"reasoning_effort": word},
    "thinking_level": lambda word: {"thinking_level": word},
    "thinking_config": lambda word: {"extra_body": {"google": {"thinking_config": {"thinking_level": word}}}},
    "modalities": lambda word: {"modalities": [word]},
    "audio": lambda word: {"audio": {"format": word}},
    "response_format": lambda word: {"response_format": {"type": word, "json_schema": {}}},
    "tool_choice": lambda word: {"tools": [{"function": {"name": "f"}}], "tool_choice": word},
    "function_call": lambda word: {"functions": [{"name": "f"}], "function_call": word},
}
EVERY_WORD = (*chat.EFFORTS, "auto", "required", "any", "text", "image", "audio", "wav", "pcm", "pcm16", "mp3", "x")
FORMATS = ("json_object", "json_schema")


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize("word", [*EVERY_WORD, *FORMATS, None])
def test_the_words_of_a_field_are_those_that_are_taken(field: str, word: str | None) -> None:
    document = LEAST["ChatRequest"] | WORDS[field](word)

    assert is_taken("ChatRequest", document) is fits(document, SCHEMAS["ChatRequest"])


ROLES = ("system", "developer", "user", "assistant", "tool", "function", "x")
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    *({"role": role, "content": "x", "tool_call_id": "c", "name": "f"} for role in ROLES),
    *({"role": role} for role in ROLES if role not in ("tool", "function")),
    {"content": "x"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "function": {"name": "f"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": " "}}]},
    {"role": "assistant", "function_call": {"name": "f", "arguments": {}}},
    {"role": "user", "content": []},
    {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "refusal", "refusal": "x"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]},
    {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://youtu.be/x", "detail": "low"}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_id": "files/a"}}]},
    {"role": "user", "content": [{"type": "text"}]},
    {"role": "user", "content": [{"type": "image", "image": "x"}]},
    {"role": "user", "content": ["x"]},
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_taken_where_it_fits(message: dict[str, Any]) -> None:
    before = [HI[0], {"role": "assistant", "tool_calls": [CALL]}, {"role": "assistant", "function_call": {"name": "f"}}]
    document = {"model": "m", "messages": [*before, message]}

    assert is_taken("ChatRequest", document) is fits(document, SCHEMAS["ChatRequest"])


@pytest.mark.parametrize("field", ["tools", "functions"])
@pytest.mark.parametrize("count", [512, 513])
def test_as_many_functions_are_taken_as_are_told(field: str, count: int) -> None:
    functions: list[Any] = [{"name": f"f{number}"} for number in range(count)]
    listed = [{"type": "function", "function": each} for each in functions] if field == "tools" else functions
    document = LEAST["ChatRequest"] | {field: listed}

    assert is_taken("ChatRequest", document) is fits(document, SCHEMAS["ChatRequest"]) is (count == 512)
