"""Thinking: efforts, budgets, levels and aliases in the words of each family, and the room for thoughts."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.chat import EFFORTS, parse
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build

HI = [{"role": "user", "content": "Hi"}]
PRO, FLASH, LITE = "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"
PRO_3, PRO_31, FLASH_3, LITE_3 = (
    "gemini-3-pro-preview",
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.1-flash-lite",
)
FLASH_36, FLASH_38, NEON, GEMMA_4 = "gemini-3.6-flash", "gemini-3.8-flash", "gemini-4-neon", "gemma-4-31b-it"


def config(model: str, options: Options | None = None, **fields: Any) -> dict[str, Any]:
    chat = parse({"model": model, "messages": HI, **fields})
    sent: dict[str, Any] = build(chat, resolve(model), options or Options()).get("generationConfig", {})
    return sent


def thinking(model: str, **fields: Any) -> Any:
    """Return the budget or level sent, or None."""
    sent = config(model, **fields).get("thinkingConfig", {})
    assert not {"thinkingBudget", "thinkingLevel"} <= sent.keys()
    return sent.get("thinkingBudget", sent.get("thinkingLevel"))


@pytest.mark.parametrize(
    ("model", "none", "minimal", "low", "medium", "high"),
    [
        ("gemini-2.0-flash", None, None, None, None, None),
        ("gemma-3-27b-it", None, None, None, None, None),
        (PRO, 128, 1024, 1024, 8192, 24_576),
        (FLASH, 0, 1024, 1024, 8192, 24_576),
        (LITE, 0, 1024, 1024, 8192, 24_576),
        (PRO_3, "low", "low", "low", "high", "high"),
        (PRO_31, "low", "low", "low", "medium", "high"),
        (FLASH_3, "minimal", "minimal", "low", "medium", "high"),
        (LITE_3, "minimal", "minimal", "low", "medium", "high"),
        ("gemini-3.5-flash", "minimal", "minimal", "low", "medium", "high"),
        (FLASH_36, "minimal", "minimal", "low", "medium", "high"),
        (FLASH_38, "low", "low", "low", "medium", "high"),
        (NEON, "low", "low", "low", "medium", "high"),
        ("gemini-flash-latest", "low", "low", "low", "medium", "high"),
        (GEMMA_4, "minimal", "minimal", "minimal", "high", "high"),
    ],
)
def test_efforts_and_aliases_follow_googles_table(
    model: str, none: Any, minimal: Any, low: Any, medium: Any, high: Any
) -> None:
    table = dict(zip(EFFORTS, (none, minimal, low, medium, high, high, high), strict=True))

    for effort, sent in table.items():
        assert thinking(model, reasoning_effort=effort) == sent
    for word in ("none", "minimal", "low", "medium", "high"):
        assert thinking(f"{model}-thinking-{word}") == table[word]
    assert thinking(f"{model}-nothinking") == none
    assert thinking(model) is None


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (PRO, 0, 128),
        (PRO, 50, 128),
        (PRO, 1000, 1000),
        (PRO, 99_999, 32_768),
        (PRO, -1, -1),
        (FLASH, 0, 0),
        (FLASH, 50, 50),
        (FLASH, 99_999, 24_576),
        (LITE, 50, 512),
        (LITE, 0, 0),
        (LITE, -1, -1),
        (FLASH_3, 0, "minimal"),
        (FLASH_3, 50, "low"),
        (FLASH_3, 1024, "low"),
        (FLASH_3, 1025, "medium"),
        (FLASH_3, 8193, "high"),
        (FLASH_3, -1, None),
        (PRO_3, 0, "low"),
        (NEON, 0, "low"),
        ("gemini-2.0-flash", 1024, None),
    ],
)
def test_budgets_are_kept_in_range_or_turned_into_levels(model: str, asked: int, sent: Any) -> None:
    assert thinking(model, thinking_budget=asked) == sent


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (FLASH, "minimal", 1024),
        (FLASH, "low", 1024),
        (PRO, "medium", 8192),
        (PRO, "high", 24_576),
        (FLASH_3, "minimal", "minimal"),
        (PRO_3, "medium", "high"),
        (FLASH_38, "minimal", "low"),
    ],
)
def test_levels_are_turned_into_budgets_or_the_nearest_level(model: str, asked: str, sent: Any) -> None:
    assert thinking(model, thinking_level=asked) == sent


def test_a_thinking_config_wins_over_an_alias_and_an_alias_over_an_effort() -> None:
    assert thinking(f"{FLASH}-thinking-low", reasoning_effort="high") == 1024
    assert thinking(f"{FLASH}-thinking-low", thinking_config={"thinking_budget": 9000}) == 9000
    assert (
        thinking(FLASH, reasoning_effort="high", extra_body={"google": {"thinking_config": {"thinking_budget": 7}}})
        == 7
    )
    assert thinking(FLASH, reasoning_effort="high", thinking_config={"include_thoughts": True}) == 24_576


def test_of_a_budget_and_a_level_the_family_takes_its_own() -> None:
    both = {"thinking_budget": 2000, "thinking_level": "low"}

    assert thinking(FLASH, **both) == 2000
    assert thinking(FLASH_3, **both) == "low"


@pytest.mark.parametrize(
    ("model", "fields", "included"),
    [
        (PRO, {}, True),
        (FLASH_3, {}, True),
        (NEON, {"reasoning_effort": "low"}, True),
        (PRO, {"include_thoughts": False}, None),
        (FLASH_3, {"reasoning_effort": "none"}, None),
        (FLASH_3, {"reasoning_effort": "none", "include_thoughts": True}, True),
        (FLASH, {"thinking_budget": 0}, None),
        (FLASH, {"thinking_budget": 0, "include_thoughts": True}, None),
        (LITE, {}, None),
        (LITE, {"reasoning_effort": "low"}, True),
        ("gemini-2.0-flash", {"include_thoughts": True}, None),
        (GEMMA_4, {}, None),
        (GEMMA_4, {"include_thoughts": True}, True),
    ],
)
def test_thoughts_are_included_where_there_are_any(model: str, fields: dict[str, Any], included: bool | None) -> None:
    assert config(model, **fields).get("thinkingConfig", {}).get("includeThoughts") is included


@pytest.mark.parametrize(
    ("model", "fields", "room"),
    [
        ("gemini-2.0-flash", {}, 0),
        ("gemma-3-27b-it", {}, 0),
        (PRO, {}, 32_768),
        (FLASH, {}, 24_576),
        (LITE, {}, 0),
        (LITE, {"thinking_budget": -1}, 24_576),
        (FLASH, {"thinking_budget": 0}, 0),
        (FLASH, {"thinking_budget": 2000}, 3024),
        (PRO, {"reasoning_effort": "none"}, 128 + 1024),
        (PRO_3, {}, 32_768),
        ("gemini-3.5-flash", {}, 16_384),
        (LITE_3, {}, 4096),
        (FLASH_3, {"reasoning_effort": "low"}, 8192),
        (NEON, {}, 32_768),
        ("gemini-3-pro-image-preview", {}, 8192),
    ],
)
def test_max_tokens_gets_room_for_thoughts_on_top(model: str, fields: dict[str, Any], room: int) -> None:
    assert config(model, max_tokens=300, **fields)["maxOutputTokens"] == 300 + room


def test_max_tokens_is_cut_to_the_models_limit() -> None:
    assert config(PRO, max_tokens=60_000)["maxOutputTokens"] == 65_536
    assert config(PRO, max_tokens=10**30)["maxOutputTokens"] == 65_536
    assert config("gemini-2.0-flash", max_tokens=9000)["maxOutputTokens"] == 8192
    assert config(PRO, Options(output_token_limit=1000), max_tokens=300)["maxOutputTokens"] == 1000
    assert config("gemini-2.0-flash", Options(output_token_limit=9500), max_tokens=9000)["maxOutputTokens"] == 9000


def test_without_max_tokens_there_is_no_limit_of_ours() -> None:
    assert "maxOutputTokens" not in config(PRO, Options(output_token_limit=1000))
