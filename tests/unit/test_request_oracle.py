"""What we build is taken by Google: SillyTavern's requests and generated chats, for every family."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.chat import EFFORTS, parse
from proxy.translation.families import LEVELS
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, resolve
from proxy.translation.request import Options, build
from tests.oracle import complaints
from tests.shared import SHARED, needs_shared

MODELS = (
    *DEFAULT_CHAT_MODELS,
    "gemini-1.5-flash-002",
    "gemini-2.0-flash-001",
    "gemini-2.0-flash-lite",
    "gemini-3-pro-preview",
    "gemini-3.5-flash-lite",
    "gemini-3.7-flash",
    "gemini-4-neon",
    "gemini-5-unheard-of",
    "gemini-2.5-flash-image",
    "gemini-3-pro-image-preview",
    "gemini-3.1-flash-lite-image",
    "gemma-3-27b-it",
    "gemma-4-31b-it",
    "gpt-5",
)
ALIASES = ("", "-thinking-none", "-thinking-minimal", "-thinking-medium", "-thinking-high")
OPTIONS = Options(random_string="aB3xY", search_prompt="(search the web)", output_token_limit=None)


def requests() -> list[Any]:
    """Return SillyTavern's recorded requests to the OpenAI endpoint."""
    if SHARED is None:
        return [pytest.param({}, id="none", marks=needs_shared)]
    found = sorted((SHARED / "sillytavern" / "requests").glob("*.json"))
    recorded = ((path.stem, json.loads(path.read_text())) for path in found)
    return [pytest.param(each["body"], id=name) for name, each in recorded if "/chat/completions" in each["path"]]


@needs_shared
@pytest.mark.parametrize("document", requests())
def test_sillytaverns_requests_are_taken_by_every_family(document: dict[str, Any]) -> None:
    not_yet = {"tools", "response_format"} & document.keys()
    if not_yet:
        with pytest.raises(Invalid):
            parse(document)
        return

    chat = parse(document)

    for model in MODELS:
        for alias in ALIASES:
            resolved = resolve(model + alias)
            assert complaints(resolved.name, build(chat, resolved, OPTIONS)) == []


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
PARAMETERS = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=8)},
    optional={
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
    },
)


@needs_shared
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(document=PARAMETERS, alias=st.sampled_from(ALIASES), search=st.booleans(), random=st.booleans())
def test_any_chat_is_taken_by_every_family(
    model: str, document: dict[str, Any], alias: str, search: bool, random: bool
) -> None:
    resolved = resolve(model + alias + ("-search" if search and resolve(model).profile.search else ""))
    chat = parse({"model": resolved.asked, **document})
    options = Options(random_string="aB3xY" if random else None, search_prompt="(search)")

    body = build(chat, resolved, options)

    assert complaints(resolved.name, body) == []
    assert_shape(body, options)


def assert_shape(body: dict[str, Any], options: Options) -> None:
    """Roles alternate, no text is empty, and the random string is in front of the last user turn, never last."""
    contents = body["contents"]
    roles = [content["role"] for content in contents]
    assert all(one != other for one, other in pairwise(roles))
    assert all(part.get("text") != "" for content in contents for part in content["parts"])
    last_user = [content for content in contents if content["role"] == "user"][-1]["parts"]
    if options.random_string and "tools" not in body:
        assert last_user[0] == {"text": options.random_string}
        assert len(last_user) > 1
