"""Whatever JSON a client sends, it is read as a chat or refused as invalid; nothing else comes out."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from tests.chats import CHATS
from tests.hostile import GOOD_TIME

# Half surrogate pairs, NaN and numbers of any size on purpose.
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**4000)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)

WORDS = st.sampled_from(
    ["text", "image_url", "input_audio", "file", "video_url", "refusal", "user", "system", "assistant", "tool", "low"]
)
DATA = st.sampled_from(["data:image/png;base64,AAAA", "data:", "https://x.y/z", "http://[", "AAAA", "files/a", ""])


def objects(*names: str, of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, of))


NEAR = JSON | WORDS | DATA
MEDIA = objects("url", "detail", "data", "format", "file_data", "filename", "file_id", of=NEAR)
PART = objects("type", "text", "refusal", of=NEAR) | st.builds(
    lambda kind, value: {"type": kind, kind: value}, WORDS, MEDIA | NEAR
)
MESSAGE = st.builds(
    lambda role, rest: {"role": role, **rest},
    WORDS | JSON,
    objects("content", "name", "tool_calls", "audio", of=NEAR | st.lists(PART, max_size=3)),
)
GOOGLE = objects(
    "thinking_config", "thinkingBudget", "thinking_level", "safety_settings", "cached_content", "top_k",
    of=NEAR | objects("thinking_budget", "thinkingLevel", "includeThoughts", of=NEAR),
)  # fmt: skip
DOCUMENT = st.builds(
    lambda model, messages, rest, google: {"model": model, "messages": messages, **rest, **google},
    st.just("gemini-2.5-pro") | JSON,
    st.lists(MESSAGE, max_size=3) | JSON,
    objects(
        "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop",
        "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "reasoning_effort", "tools", "tool_choice",
        "functions", "function_call", "response_format", "modalities", "audio", "web_search_options", "top_k",
        of=NEAR,
    ),
    objects("extra_body", "google", of=GOOGLE | NEAR),
)  # fmt: skip


# A request in order, in which up to three of its fields are something else.
SPOILT_FIELDS = st.builds(
    lambda document, changes: {"model": "gemini-2.5-pro", **document, **changes},
    CHATS,
    st.dictionaries(
        st.sampled_from(
            [
                "stop",
                "n",
                "seed",
                "temperature",
                "reasoning_effort",
                "safety_settings",
                "google",
                "messages",
                "tools",
                "tool_choice",
                "functions",
                "function_call",
                "response_format",
                "modalities",
                "audio",
                "image_config",
            ]
        )
        | TEXT,
        JSON | NEAR,
        max_size=3,
    ),
)


@st.composite
def spoilt_inside(draw: st.DrawFn) -> dict[str, Any]:
    """Return a request in order in which one value, however deep inside, is something else or is gone."""
    # A copy: strategies give the same objects again.
    document = deepcopy({"model": "gemini-2.5-pro", **draw(CHATS)})
    holder: Any = document
    for _ in range(draw(st.integers(0, 8))):
        inner = [each for each in (holder.values() if isinstance(holder, dict) else holder) if each and is_holder(each)]
        if not inner:
            break
        holder = draw(st.sampled_from(inner))
    place = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    if draw(st.booleans()):
        holder[place] = draw(JSON | NEAR)
    else:
        del holder[place]
    return document


def is_holder(value: Any) -> bool:
    return isinstance(value, (dict, list))


SPOILT = SPOILT_FIELDS | spoilt_inside()


def refusal(document: Any) -> Invalid | None:
    try:
        assert isinstance(parse(document), Chat)
    except Invalid as error:
        return error
    return None


def reads(document: Any) -> bool:
    error = refusal(document)
    if error is None:
        return True
    # The sentence can be sent, and the place is one of ours.
    assert str(error).encode()
    assert error.param is None or error.param.isascii()
    return False


@given(JSON)
def test_any_json_is_read_or_refused(document: Any) -> None:
    assert not reads(document)


@settings(max_examples=200)
@given(DOCUMENT | SPOILT)
def test_anything_near_a_chat_is_read_or_refused(document: Any) -> None:
    reads(document)


@settings(max_examples=200)
@given(SPOILT, st.sampled_from(["gemini-2.5-pro-search", "gemini-2.0-flash", "gemini-4-neon", "gemma-3-27b-it"]))
def test_whatever_is_read_can_be_written_to_the_wire(document: Any, model: str) -> None:
    try:
        body = build(parse({**document, "model": model}), resolve(model), Options(random_string="aB3xY"))
    except Invalid:
        return

    assert orjson.loads(orjson.dumps(body)) == body


def test_a_number_too_long_to_be_written_is_refused() -> None:
    for name in ("n", "temperature", "seed", "top_k", "stop", "reasoning_effort", "messages"):
        assert not reads({"model": "m", "messages": [{"role": "user", "content": "x"}], name: 10**5000})


def deep(levels: int, leaf: Any) -> Any:
    for _ in range(levels):
        leaf = [{"content": leaf}]
    return leaf


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": deep(100_000, "x")},
        {"metadata": deep(100_000, "x")},
        {"messages": [{"role": "user", "content": deep(100_000, "x")}]},
        {"response_format": {"type": deep(100_000, "x")}},
        {"tool_choice": deep(100_000, "x")},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": deep(100_000, "x")}}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": deep(100_000, "x")}}]},
        {"messages": [{"role": "assistant", "tool_calls": deep(100_000, "x")}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": deep(100_000, "x")}}}],
                }
            ]
        },
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[" * 100_000}}],
                }
            ]
        },
        {"response_format": {"type": "json_object", "schema": {"a": deep(100_000, "x")}}},
        {"extra_body": {"google": {"thinking_config": {"thinking_budget": deep(100_000, 1)}}}},
    ],
)
def test_depth_does_no_harm(fields: dict[str, Any]) -> None:
    reads({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields})


@pytest.mark.parametrize(
    "text",
    [
        "![" * 300_000,
        "](data:" * 100_000,
        "](data:)" * 100_000,
        "![](data:" * 100_000,
        "![](data:)" * 100_000,
        "![ ](data: ](data:)" * 50_000,
    ],
)
def test_hostile_texts_are_read_in_good_time(text: str) -> None:
    began = time.process_time()

    assert reads({"model": "m", "messages": [{"role": "assistant", "content": text}]})

    assert time.process_time() - began < GOOD_TIME


@pytest.mark.parametrize("model", ["gemini-3-flash-preview", "gemma-3-27b-it", "gemini-1.5-pro"])
def test_very_many_calls_are_read_and_built_in_good_time(model: str) -> None:
    names = [chr(0x4E00 + n) for n in range(10_000)]
    calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names]
    answers = [{"role": "tool", "tool_call_id": "c", "content": "x"}] * len(calls)
    apart = [message for call in calls[:5000] for message in ({"role": "assistant", "tool_calls": [call]}, answers[0])]
    began = time.process_time()

    for messages in ([{"role": "assistant", "tool_calls": calls}, *answers], apart):
        build(parse({"model": model, "messages": messages}), resolve(model), Options(random_string="aB3xY"))

    assert time.process_time() - began < GOOD_TIME
