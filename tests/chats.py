"""Hypothesis strategies: OpenAI chat requests that are in order, without a model."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from proxy.translation.chat import EFFORTS, Chat
from proxy.translation.families import LEVELS
from proxy.translation.profiles import Resolved

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
MEDIA = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,_-_-", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "video_url", "video_url": {"url": "https://youtu.be/abc"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/json;base64,AAAA", "filename": "a.json"}},
        {"type": "file", "file": {"file_id": "files/abc"}},
    ]
)
CONTENT = st.none() | TEXT | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXT) | MEDIA, max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": CONTENT},
    optional={"name": st.sampled_from(["Tester", "example_user"]) | TEXT},
)

# Names that OpenAI allows, and some that only other houses do.
NAMES = st.sampled_from(["f", "get_weather", "0day", "mcp.tool/read file", "müller", "x" * 90, "x" * 80 + "y", "a-b"])
WORDS = st.sampled_from(["a", "b", "$ref", "properties", "type", ""])
VALUES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ARGUMENTS = st.just("") | st.dictionaries(TEXT, JSON, max_size=3).map(json.dumps)
SIGNATURE = st.sampled_from(["AAAA", "c2ln", "_-_-", "skip_thought_signature_validator"])
EXTRA = SIGNATURE.map(lambda signature: {"google": {"thought_signature": signature}})
SERVER_PART = st.builds(
    lambda kind, at, calls: {
        "part": {kind: {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "AAAA"},
        "at": at,
        "calls": calls,
    },
    st.sampled_from(["toolCall", "toolResponse"]),
    st.integers(0, 9),
    st.integers(0, 2),
)
SERVED = st.lists(SERVER_PART, max_size=3).map(lambda parts: {"google": {"server_parts": parts}})

TYPES = ["string", "number", "integer", "boolean", "object", "array", "null"]
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
    "title": TEXT,
    "description": TEXT,
    "default": JSON,
    "enum": st.lists(VALUES, max_size=3),
    "const": VALUES,
    "format": st.sampled_from(["date-time", "email", "int32", "uuid"]),
    "minimum": st.integers(-5, 5) | st.floats(-5, 5),
    "exclusiveMaximum": st.integers(-5, 5),
    "minItems": st.integers(0, 3),
    "maxLength": st.integers(0, 2**40),
    "pattern": TEXT,
    "nullable": st.booleans(),
    "uniqueItems": st.booleans(),
    "$schema": st.just("http://json-schema.org/draft-07/schema#"),
}
REFERENCE = st.sampled_from(["#/$defs/A", "#/$defs/B", "#/definitions/C"]).map(lambda ref: {"$ref": ref})


def _some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return an object with up to three of these fields; choosing among all of them each time would take long."""

    def alone(name: str) -> st.SearchStrategy[tuple[str, Any]]:
        return st.tuples(st.just(name), fields[name])

    return st.lists(st.one_of(*map(alone, fields)), max_size=3).map(dict)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    schemas = st.lists(inner, min_size=1, max_size=3)
    inside = {
        "properties": st.dictionaries(WORDS, inner | st.just(True), max_size=3),
        "required": st.lists(WORDS, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "items": inner | schemas,
        "prefixItems": schemas,
        "anyOf": schemas,
        "oneOf": schemas,
        "allOf": schemas,
        "not": inner,
    }
    return st.builds(lambda words, schemas: words | schemas, _some(KEYWORDS), _some(inside))


LEAVES = _some(KEYWORDS)
FREE_SCHEMAS = st.recursive(LEAVES, _grown, max_leaves=6)
_INNER = st.recursive(LEAVES | REFERENCE, _grown, max_leaves=6)
# The definitions refer to nothing that leads back, so that every one of these is in order.
SCHEMAS = st.builds(
    lambda root, a, b, c: {**root, "$defs": {"A": a, "B": b}, "definitions": {"C": c}},
    _grown(_INNER),
    FREE_SCHEMAS,
    FREE_SCHEMAS,
    FREE_SCHEMAS,
)
PARAMETERS = (FREE_SCHEMAS | SCHEMAS).map(lambda schema: {**schema, "type": "object"})
FUNCTION = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"description": TEXT, "parameters": st.none() | st.just({}) | PARAMETERS, "strict": st.booleans()},
)
TOOLS = st.lists(FUNCTION, max_size=4, unique_by=lambda function: function["name"])


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return an answer that calls functions, and the results that came, in any order and perhaps not all."""
    count = draw(st.integers(1, 3))
    ids = [f"call_{draw(st.integers(0, 10**6))}_{index}" for index in range(count)]
    calls: list[dict[str, Any]] = [
        {"id": each, "type": "function", "function": {"name": draw(NAMES), "arguments": draw(ARGUMENTS)}}
        for each in ids
    ]
    for call in calls:
        if draw(st.booleans()):
            call["extra_content"] = draw(EXTRA)
    answer = draw(st.fixed_dictionaries({}, optional={"content": CONTENT, "extra_content": SERVED}))
    results = [
        {"role": "tool", "tool_call_id": each, "content": draw(CONTENT | ARGUMENTS)}
        for each in draw(st.permutations(ids))
    ]
    return [{"role": "assistant", "tool_calls": calls, **answer}, *results[draw(st.integers(0, 1)) :]]


ANSWER = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": CONTENT}, optional={"extra_content": EXTRA | SERVED}
)
MESSAGES = st.lists(st.lists(MESSAGE | ANSWER, min_size=1, max_size=3) | steps(), min_size=1, max_size=5).map(
    lambda parts: [message for part in parts for message in part]
)
RESPONSE_FORMAT = st.sampled_from([{"type": "text"}, {"type": "json_object"}]) | st.builds(
    lambda schema: {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}},
    FREE_SCHEMAS | SCHEMAS,
)
SAFETY = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_CIVIC_INTEGRITY"]),
        "threshold": st.sampled_from(["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH"]),
    }
)
THINKING = st.fixed_dictionaries(
    {},
    optional={
        "thinking_budget": st.integers(-1, 100_000),
        "thinking_level": st.sampled_from(LEVELS),
        "include_thoughts": st.booleans(),
    },
)


def _rarely(wish: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Most models refuse such wishes; a chat with a few of them would always be refused."""
    return st.sampled_from([None] * 7) | wish


CACHED = _rarely(st.just("cachedContents/abc"))
# What Google's own clients put aside for it.
GOOGLE = st.fixed_dictionaries(
    {},
    optional={
        "thinking_config": THINKING,
        "safety_settings": st.lists(SAFETY, max_size=2),
        "cached_content": CACHED,
        "image_config": st.just({"aspect_ratio": "1:1"}),
        "top_k": st.integers(0, 1000),
        "web_search_options": _rarely(st.booleans()),
        "reasoning_effort": st.sampled_from(EFFORTS),
    },
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "n": st.integers(1, 8),
    "max_tokens": st.integers(1, 10**7),
    "max_completion_tokens": st.integers(1, 10**20),
    "temperature": st.floats(0, 2) | st.integers(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 1000),
    "frequency_penalty": st.floats(-2, 2),
    "presence_penalty": st.floats(-2, 2),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": TEXT | st.lists(TEXT, max_size=8),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "reasoning_effort": st.sampled_from(EFFORTS),
    "thinking_config": THINKING,
    "safety_settings": st.lists(SAFETY, max_size=2),
    "logit_bias": st.just({"1": 5}),
    "response_format": RESPONSE_FORMAT,
    "parallel_tool_calls": st.booleans(),
    "modalities": st.just(["text"]) | _rarely(st.lists(st.sampled_from(["text", "image", "audio"]), max_size=2)),
    "audio": st.builds(
        lambda voice, form: {"voice": voice, "format": form},
        st.sampled_from(["alloy", "Kore", "someone"]),
        st.sampled_from(["wav", "pcm16"]),
    ),
    "image_config": st.just({"aspect_ratio": "16:9", "image_size": "2K"}),
    "web_search_options": _rarely(st.sampled_from([{}, {"search_context_size": "low"}, False, True])),
    "cached_content": CACHED,
    "extra_body": st.builds(lambda inner, outer: {"google": inner, **outer}, GOOGLE, GOOGLE),
}


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """Return a request in order."""
    document = draw(st.fixed_dictionaries({"messages": MESSAGES}, optional=FIELDS))
    functions = draw(TOOLS)
    if functions and draw(st.booleans()):
        document["functions"] = functions
        document |= draw(st.just({}) | old_choices([function["name"] for function in functions]))
    elif functions:
        document["tools"] = [{"type": "function", "function": function} for function in functions]
        document |= draw(st.just({}) | choices([function["name"] for function in functions]))
    return document


def choices(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return every form of choice among functions of these names."""
    one = st.sampled_from(names).map(lambda name: {"type": "function", "function": {"name": name}})
    some = st.builds(
        lambda mode, tools: {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}},
        st.sampled_from(["auto", "required"]),
        st.lists(one, min_size=1, max_size=3),
    )
    return (st.sampled_from(["auto", "none", "required"]) | one | some).map(lambda choice: {"tool_choice": choice})


def old_choices(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return every form of choice that the older ``functions`` have."""
    one = st.sampled_from(names).map(lambda name: {"name": name})
    return (st.sampled_from(["auto", "none"]) | one).map(lambda choice: {"function_call": choice})


CHATS = chats()


def is_too_much(chat: Chat, resolved: Resolved) -> bool:
    """Return whether a chat in order asks a model for what it can not do; such a chat is refused, no other."""
    profile, choice = resolved.profile, chat.tool_choice.mode if chat.tool_choice else None
    offers = bool(chat.tools) and profile.functions and choice != "none"
    searches = chat.web_search or resolved.search
    return (
        (choice == "required" and not profile.functions)
        or (searches and (not profile.search or chat.cached_content is not None))
        or (offers and chat.cached_content is not None)
        or (offers and chat.web_search and not profile.search_with_functions)
        or ("image" in chat.modalities and not profile.is_image)
        or ("audio" in chat.modalities and not profile.is_tts)
    )
