"""What we build is taken by Google: SillyTavern's requests and generated chats, for every family."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.chat import parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, resolve
from proxy.translation.request import Options, build
from tests.chats import CHATS
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
    chat = parse(document)

    for model in MODELS:
        for alias in ALIASES:
            resolved = resolve(model + alias)
            assert complaints(resolved.name, build(chat, resolved, OPTIONS)) == []


@needs_shared
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(document=CHATS, alias=st.sampled_from(ALIASES), search=st.booleans(), random=st.booleans())
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
