"""Whatever JSON a client sends as an Anthropic request, it is read or refused as invalid; nothing else comes out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.anthropic_request import parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from tests.anything import JSON, NEAR, deep, objects, reads
from tests.oracle import complaints
from tests.shared import needs_shared

patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)

SOURCE = st.builds(
    lambda kind, rest: {"type": kind, **rest},
    st.sampled_from(["base64", "url", "file", "text", "content"]),
    objects("media_type", "data", "url", "file_id", "content", of=NEAR),
)
KINDS = ("text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result", "?")
BLOCK = st.builds(
    lambda kind, source, rest: {"type": kind, "source": source, **rest},
    st.sampled_from(KINDS) | JSON,
    SOURCE | NEAR,
    objects("text", "signature", "id", "name", "input", "tool_use_id", "content", "is_error", "title", of=NEAR),
)
MESSAGE = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system"]) | JSON,
    st.lists(BLOCK, max_size=3) | NEAR,
)
TOOL = objects("type", "name", "description", "input_schema", "strict", of=NEAR)
FIELDS = (
    "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "thinking", "output_config", "tool_choice",
    "output_format", "mcp_servers", "metadata",
)  # fmt: skip
DOCUMENT = st.builds(
    lambda model, most, messages, tools, rest: {
        "model": model,
        "max_tokens": most,
        "messages": messages,
        "tools": tools,
        **rest,
    },
    st.just("gemini-2.5-pro") | JSON,
    st.just(100) | NEAR,
    st.lists(MESSAGE, max_size=3) | NEAR,
    st.none() | st.lists(TOOL, max_size=2) | NEAR,
    objects(*FIELDS, of=NEAR | objects("type", "name", "effort", "format", "budget_tokens", of=NEAR)),
)

# Requests in order.
CALL = {"type": "tool_use", "id": "a", "name": "b"}
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAME = st.sampled_from(["weather", "get time", "1st"])
GOOD_TEXT = st.builds(lambda text: {"type": "text", "text": text}, TEXT)
GOOD_IMAGE = st.just({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}})
GOOD_PART = st.lists(GOOD_TEXT | GOOD_IMAGE, max_size=3)
SCHEMA = st.sampled_from(
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"enum": ["x"]}}},
    ]
)


def _turns(users: list[Any], answers: list[Any], calls: list[tuple[str, Any]]) -> list[Any]:
    """Return a conversation: what users say, answered, and in the end calls with some of their results."""
    messages = []
    for said, answer in zip(users, answers, strict=False):
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    made = [{"type": "tool_use", "id": f"c{i}", "name": name, "input": {}} for i, (name, _) in enumerate(calls)]
    results = [
        {"type": "tool_result", "tool_use_id": f"c{i}", "content": said}
        for i, (_, said) in enumerate(calls)
        if said is not None
    ]
    looped = [{"role": "assistant", "content": made}, {"role": "user", "content": results}] if made else []
    return [*messages, {"role": "user", "content": users[-1]}, *looped]


REQUESTS = st.fixed_dictionaries(
    {
        "max_tokens": st.integers(1, 10**7),
        "messages": st.builds(
            _turns,
            st.lists(GOOD_PART | TEXT, min_size=1, max_size=3),
            st.lists(st.lists(GOOD_TEXT, max_size=2) | TEXT, max_size=3),
            st.lists(st.tuples(NAME, st.none() | TEXT | GOOD_PART), max_size=3),
        ),
    },
    optional={
        "system": TEXT | st.lists(GOOD_TEXT, max_size=2),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 100),
        "stop_sequences": st.lists(TEXT, max_size=7),
        "thinking": st.sampled_from(
            [{"type": "disabled"}, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 9000}]
        ),
        "output_config": st.sampled_from(
            [{"effort": "max"}, {"format": {"type": "json_schema", "schema": {"type": "object"}}}]
        ),
        "tools": st.lists(
            st.builds(lambda name, schema: {"name": name, "input_schema": schema}, NAME, SCHEMA),
            max_size=3,
            unique_by=lambda tool: tool["name"],
        ),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "none"}]),
    },
)


@patient
@given(JSON | DOCUMENT)
def test_anything_is_read_or_refused(document: Any) -> None:
    reads(parse, document)


@needs_shared
@patient
@given(REQUESTS, st.sampled_from(["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemma-3-27b-it"]))
def test_whatever_is_in_order_is_written_as_gemini_takes_it(document: dict[str, Any], model: str) -> None:
    resolved = resolve(model)
    chat = parse({**document, "model": model})
    try:
        body = build(chat, resolved, Options(random_string="aB3xY"))
    except Invalid:
        return

    assert orjson.loads(orjson.dumps(body)) == body
    assert complaints(model, body) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": deep(100_000, "x")},
        {"messages": [{"role": "user", "content": deep(100_000, "x")}]},
        {"messages": [{"role": "assistant", "content": [{**CALL, "input": {"a": deep(100_000, 1)}}]}]},
        {"tools": [{"name": "a", "input_schema": deep(100_000, 1)}]},
        {"system": deep(100_000, "x")},
    ],
)
def test_depth_does_no_harm(fields: dict[str, Any]) -> None:
    reads(parse, {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], **fields})
