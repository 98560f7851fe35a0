"""Gemini's usageMetadata -> OpenAI's tokens."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.reply import Translator, Usage
from proxy.translation.usage import MOST_TOKENS, read_usage


def test_thoughts_are_completion_and_tool_prompts_are_prompt():
    usage = read_usage(
        {
            "promptTokenCount": 100,
            "toolUsePromptTokenCount": 20,
            "candidatesTokenCount": 30,
            "thoughtsTokenCount": 7,
            "cachedContentTokenCount": 64,
            "totalTokenCount": 157,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
        }
    )

    assert usage == Usage(120, 37, 157, thoughts=7, cached=64, prompt_audio=10, completion_audio=3)


def test_the_last_counts_of_a_stream_hold():
    translator = Translator()
    translator.feed({"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}})
    translator.feed({"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}})
    translator.feed({"candidates": []})
    translator.feed({"usageMetadata": {}})

    assert translator.usage == Usage(5, 2, 7)


def test_nothing_counted_is_nothing():
    assert Translator().usage == Usage()


def test_a_missing_total_is_the_sum():
    assert read_usage({"promptTokenCount": 5, "candidatesTokenCount": 2}).total == 7


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (5, 5),
        ("5", 5),
        (5.9, 5),
        (None, 0),
        (True, 0),
        (-3, 0),
        ("many", 0),
        ("9" * 5000, 0),
        ([1], 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (10**30, MOST_TOKENS),
    ],
)
def test_a_number_that_is_none_counts_as_zero(value: Any, count: int):
    assert read_usage({"promptTokenCount": value}).prompt == count


@pytest.mark.parametrize("details", [None, 7, {}, [None, 7, {}, {"modality": "AUDIO"}]])
def test_odd_details_count_as_zero(details: Any):
    assert read_usage({"promptTokensDetails": details}).prompt_audio == 0


def test_usages_add_up():
    assert Usage(1, 2, 3, 4, 5, 6, 7) + Usage(1, 1, 1, 1, 1, 1, 1) == Usage(2, 3, 4, 5, 6, 7, 8)
