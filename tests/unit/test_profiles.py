"""Model names: aliases, families, the list, and patterns over names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.families import LEVELS
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, NamePatterns, is_listed, resolve

CHAT_METHODS = ("generateContent", "countTokens")


@pytest.mark.parametrize(
    ("asked", "name", "search", "thinking"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro", False, None),
        ("models/gemini-2.5-pro", "gemini-2.5-pro", False, None),
        ("koboldcpp/gemini-2.5-pro", "gemini-2.5-pro", False, None),
        ("koboldcpp/models/gemini-2.5-pro", "gemini-2.5-pro", False, None),
        (" Gemini-2.5-PRO ", "gemini-2.5-pro", False, None),
        ("gemini-2.5-pro-search", "gemini-2.5-pro", True, None),
        ("gemini-2.5-flash-thinking-none", "gemini-2.5-flash", False, "none"),
        ("gemini-2.5-flash-thinking-minimal", "gemini-2.5-flash", False, "minimal"),
        ("gemini-2.5-flash-thinking-low", "gemini-2.5-flash", False, "low"),
        ("gemini-2.5-flash-thinking-medium", "gemini-2.5-flash", False, "medium"),
        ("gemini-2.5-flash-Thinking-HIGH", "gemini-2.5-flash", False, "high"),
        ("gemini-2.5-flash-nothinking", "gemini-2.5-flash", False, "none"),
        ("gemini-2.5-pro-search-thinking-low", "gemini-2.5-pro", True, "low"),
        ("models/gemini-2.5-pro-nothinking-SEARCH", "gemini-2.5-pro", True, "none"),
        ("gemini-2.0-flash-thinking-exp-01-21", "gemini-2.0-flash-thinking-exp-01-21", False, None),
        ("-search", "-search", False, None),
        ("", "", False, None),
    ],
)
def test_it_reads_prefixes_and_aliases(asked: str, name: str, search: bool, thinking: str | None) -> None:
    resolved = resolve(asked)

    assert (resolved.asked, resolved.name, resolved.search, resolved.thinking) == (asked, name, search, thinking)


@given(st.text(max_size=200))
def test_any_name_resolves(asked: str) -> None:
    assert resolve(asked).asked == asked


def test_a_name_made_of_aliases_alone_is_read_in_good_time() -> None:
    assert resolve("-search" * 20_000).search


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gemini-1.5-flash-002", "1.5"),
        ("gemini-2.0-flash-001", "2.0"),
        ("gemini-2.0-flash-lite", "2.0-flash-lite"),
        ("gemini-2.5-pro-preview-06-05", "2.5-pro"),
        ("gemini-2.5-flash", "2.5-flash"),
        ("gemini-2.5-flash-lite-preview-09-2025", "2.5-flash-lite"),
        ("gemini-3-pro-preview", "3-pro"),
        ("gemini-3.1-pro-preview", "3.1-pro"),
        ("gemini-3-flash-preview", "3-flash"),
        ("gemini-3.1-flash-lite", "3-flash-lite"),
        ("gemini-3.5-flash", "3.5-flash"),
        ("gemini-3.5-flash-lite", "3.5-flash-lite"),
        ("gemini-3.6-flash", "3.6-flash"),
        ("gemini-3.7-flash", "3.8-flash"),
        ("gemini-3.8-flash", "3.8-flash"),
        ("gemini-4-neon", "4"),
        ("gemini-flash-latest", "4"),
        ("gemini-12-ultra", "4"),
        ("gpt-5", "4"),
        ("gemini-2.5-flash-image", "image"),
        ("gemini-2.0-flash-preview-image-generation", "image"),
        ("gemini-3-pro-image-preview", "3-image"),
        ("gemini-3.1-flash-lite-image", "3-image"),
        ("gemini-2.5-flash-preview-tts", "tts"),
        ("gemma-3-27b-it", "gemma-3"),
        ("gemma-3n-e4b-it", "gemma-3"),
        ("gemma-4-31b-it", "gemma-4"),
        ("gemini-embedding-001", "embedding"),
        ("text-embedding-004", "embedding"),
        ("imagen-4.0-generate-001", "imagen"),
        ("veo-3.1-generate-preview", "other"),
        ("aqa", "other"),
        ("gemini-2.5-flash-native-audio-preview-09-2025", "other"),
        ("gemini-2.0-flash-live-001", "other"),
        ("gemini-2.5-computer-use-preview-10-2025", "other"),
    ],
)
def test_it_knows_the_family_of_a_model(name: str, family: str) -> None:
    assert resolve(name).profile.family == family


@pytest.mark.parametrize("model", [*DEFAULT_CHAT_MODELS, "gemini-4-neon", "gemma-4-31b-it", "gemini-2.0-flash"])
def test_every_profile_is_sound(model: str) -> None:
    profile = resolve(model).profile

    assert profile.is_chat
    assert profile.max_output_tokens >= 8192
    assert list(profile.levels) == [level for level in LEVELS if level in profile.levels]
    assert bool(profile.levels) == (profile.thinking == "level")
    assert (profile.most_budget > 0) == (profile.thinking == "budget")


@pytest.mark.parametrize(
    ("name", "methods", "listed"),
    [
        ("models/gemini-2.5-pro", CHAT_METHODS, True),
        ("gemma-3-27b-it", CHAT_METHODS, True),
        ("gemini-99-new", CHAT_METHODS, True),
        ("gemini-2.5-pro", ("countTokens",), False),
        ("gemini-embedding-001", ("embedContent",), False),
        ("gemini-2.5-flash-image", CHAT_METHODS, True),
        ("gemini-2.5-flash-preview-tts", CHAT_METHODS, False),
        ("imagen-4.0-generate-001", ("predict",), False),
        ("aqa", ("generateAnswer",), False),
        ("deep-research-pro-preview-12-2025", CHAT_METHODS, False),
    ],
)
def test_it_lists_what_chats_in_words_or_pictures(name: str, methods: tuple[str, ...], listed: bool) -> None:
    assert is_listed(name, methods) is listed


def test_the_first_default_model_by_name_is_a_chat_model() -> None:
    assert sorted(DEFAULT_CHAT_MODELS) == list(DEFAULT_CHAT_MODELS)
    assert resolve(DEFAULT_CHAT_MODELS[0]).name == "gemini-2.5-flash"
    assert all(is_listed(name, CHAT_METHODS) for name in DEFAULT_CHAT_MODELS)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro", True),
        ("gemini-2.5-pro", "models/gemini-2.5-pro", True),
        ("gemini-2.5-pro", "koboldcpp/Gemini-2.5-Pro", True),
        ("gemini-2.5-pro", "gemini-2.5-pro-search", True),
        ("gemini-2.5-pro", "gemini-2.5-pro-thinking-low-search", True),
        ("models/Gemini-2.5-Pro", "gemini-2.5-pro", True),
        ("gemini-2.5-pro", "gemini-2.5-pro-preview", False),
        ("gemini-2.5-*", "gemini-2.5-flash", True),
        ("gemini-2.5-*", "gemini-3-flash", False),
        ("*-pro*", "gemini-3.1-pro-preview-search", True),
        ("gemini-2.5-pro-search", "gemini-2.5-pro", False),
        ("gemini-2.5-pro-search", "gemini-2.5-pro-search", True),
        ("gemini-2.5-pro-search", "models/gemini-2.5-pro-search-nothinking", True),
        ("gemini-2.[05]-*", "gemini-2.0-flash", True),
        ("", "gemini-2.5-pro", False),
    ],
)
def test_a_pattern_covers_every_way_to_write_a_name(pattern: str, name: str, matches: bool) -> None:
    assert NamePatterns([pattern]).matches(name) is matches


def test_no_patterns_match_nothing() -> None:
    assert not NamePatterns([])
    assert not NamePatterns([]).matches("gemini-2.5-pro")
    assert NamePatterns(["a", "b*"]).matches("bc")


@given(st.text(max_size=40))
def test_any_text_may_be_a_pattern(pattern: str) -> None:
    patterns = NamePatterns([pattern])

    assert isinstance(patterns.matches("gemini-2.5-pro"), bool)
    if re.fullmatch(r"[a-z0-9.]+", pattern):
        assert patterns.matches(pattern)
