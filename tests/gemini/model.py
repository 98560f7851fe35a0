"""The simulated model: what it answers to a body, and how many tokens it spends on thoughts and on text."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any

from tests.gemini.catalog import Model
from tests.gemini.making import picture_part, sound_part

Json = dict[str, Any]

# Tokens a model thinks when nothing in the request says how much; more than the 300 tokens SillyTavern asks for.
NATURAL_THOUGHTS = 600
LEVEL_THOUGHTS = {"MINIMAL": 0, "LOW": 200, "MEDIUM": NATURAL_THOUGHTS, "HIGH": 1200}
THOUGHTS = "**Reading the message**\n\nI am considering what was said.\n\n"
EMBEDDING_SIZE = 768


@dataclass(frozen=True)
class Content:
    """What one answer carries before it is cut into events. ``finish`` None: the stream ends without a reason."""

    text: str
    thoughts: str = ""
    finish: str | None = "STOP"
    thought_tokens: int = 0
    parts: tuple[Json, ...] = ()


def field(document: Any, name: str, default: Any = None) -> Any:
    """Return a field by its camelCase name; like Google, the fake takes snake_case as well."""
    if not isinstance(document, dict):
        return default
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    found = document.get(name, document.get(snake))
    return default if found is None else found


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, a bare object as a list of one, None as an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def texts(content: Any) -> str:
    """Return the text of one content's parts."""
    return "".join(str(field(part, "text", "")) for part in as_list(field(content, "parts")))


def prompt_of(body: Json) -> str:
    """Return the text of the last user turn."""
    turns = [turn for turn in as_list(field(body, "contents")) if field(turn, "role", "user") == "user"]
    return texts(turns[-1]).strip() if turns else ""


def tokens_of(text: str) -> int:
    """Return about how many tokens a text is: one for each four characters."""
    return math.ceil(len(text) / 4)


def prompt_tokens(body: Json) -> int:
    """Return about how many tokens the whole prompt is."""
    contents = [*as_list(field(body, "contents")), field(body, "systemInstruction")]
    return max(1, sum(tokens_of(texts(content)) for content in contents))


def echo(model: Model, body: Json) -> Content:
    """Return the answer nobody scripted: what the user said, in words, in sound or as a picture."""
    text = f"You said: {prompt_of(body)}"
    config = field(body, "generationConfig", {})
    kinds = {str(kind).upper() for kind in as_list(field(config, "responseModalities"))}
    if "AUDIO" in kinds:
        return Content("", parts=(sound_part(prompt_of(body)),))
    if "IMAGE" in kinds:
        return Content("", parts=(picture_part(prompt_of(body)),))
    if field(config, "responseMimeType") == "application/json":
        text = json.dumps({"you_said": prompt_of(body)}, ensure_ascii=False)
    return within_limits(model, config, Content(text))


def within_limits(model: Model, config: Json, content: Content) -> Content:
    """Think as the model would, then cut the text to what maxOutputTokens leaves."""
    content = _with_thoughts(model, config, content)
    limit = int(field(config, "maxOutputTokens", model.output_limit))
    room = limit - content.thought_tokens
    if room <= 0:
        # Thoughts took every token: Gemini then answers without any text.
        return replace(content, text="", finish="MAX_TOKENS", thought_tokens=limit)
    if tokens_of(content.text) > room:
        return replace(content, text=content.text[: room * 4], finish="MAX_TOKENS")
    return content


def _with_thoughts(model: Model, config: Json, content: Content) -> Content:
    thinking = field(config, "thinkingConfig", {})
    tokens = _thought_tokens(model, thinking)
    shown = THOUGHTS if tokens and field(thinking, "includeThoughts", False) else ""
    return replace(content, thought_tokens=tokens, thoughts=content.thoughts or shown)


def _thought_tokens(model: Model, thinking: Json) -> int:
    if not model.thinks:
        return 0
    level = str(field(thinking, "thinkingLevel", "")).upper()
    if level in LEVEL_THOUGHTS:
        return LEVEL_THOUGHTS[level]
    budget = int(field(thinking, "thinkingBudget", -1))
    return NATURAL_THOUGHTS if budget < 0 else min(budget, NATURAL_THOUGHTS)


def embedding(content: Any, size: int) -> list[float]:
    """Return a vector that depends on the text alone, values from -1 to 1."""
    seed = hashlib.sha256(texts(content).encode()).digest()
    return [(seed[index % len(seed)] - 127.5) / 127.5 for index in range(size)]
