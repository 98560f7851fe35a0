"""What we build is taken by Google: SillyTavern's requests and generated chats, for every family."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.translation.chat import parse
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, resolve
from proxy.translation.request import Options, build, call_ids
from tests.chats import CHATS, is_too_much
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
    "gemini-2.5-flash-preview-tts",
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
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(document=CHATS, alias=st.sampled_from(ALIASES), search=st.booleans(), random=st.booleans())
def test_any_chat_is_taken_by_every_family(
    model: str, document: dict[str, Any], alias: str, search: bool, random: bool
) -> None:
    resolved = resolve(model + alias + ("-search" if search and resolve(model).profile.search else ""))
    chat = parse({"model": resolved.asked, **document})
    kept = dict.fromkeys(call_ids(chat)[::2], "c2lnbmF0dXJl")
    options = Options(random_string="aB3xY" if random else None, search_prompt="(search)", signatures=kept)

    if is_too_much(chat, resolved):
        with pytest.raises(Invalid):
            build(chat, resolved, options)
        return
    body = build(chat, resolved, options)

    assert complaints(resolved.name, body) == []
    assert orjson.loads(orjson.dumps(body)) == body
    assert_shape(body, options)


def assert_shape(body: dict[str, Any], options: Options) -> None:
    """Roles alternate, no text is empty, and the random string is in front of the last user turn, never last."""
    contents = body["contents"]
    roles = [content["role"] for content in contents]
    assert all(one != other for one, other in pairwise(roles))
    parts = [part for content in contents for part in content["parts"]]
    assert all(part["text"] or "thoughtSignature" in part for part in parts if "text" in part)
    names = {part["functionCall"]["name"] for part in parts if "functionCall" in part}
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", name) for name in names)
    last_user = [content for content in contents if content["role"] == "user"][-1]["parts"]
    if {"text": options.random_string} in parts:
        assert last_user[0] == {"text": options.random_string}
        assert len(last_user) > 1
        assert "tools" not in body


@needs_shared
@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3.1-pro-preview", "gemini-4-neon"])
def test_the_random_string_is_sent_with_plain_chats(model: str) -> None:
    chat = parse({"model": model, "messages": [{"role": "user", "content": "Hi"}]})

    body = build(chat, resolve(model), OPTIONS)

    assert body["contents"][0]["parts"] == [{"text": "aB3xY"}, {"text": "Hi"}]
    assert complaints(model, body) == []
