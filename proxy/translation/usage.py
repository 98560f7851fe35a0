"""Gemini's usageMetadata -> tokens in OpenAI's sense. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Far above what any model takes, and two of them still fit a 32-bit column.
MOST_TOKENS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, in OpenAI's sense: thoughts count as completion, cached as part of the prompt."""

    prompt: int = 0
    completion: int = 0
    total: int = 0
    thoughts: int = 0
    cached: int = 0
    prompt_audio: int = 0
    completion_audio: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.total + other.total,
            self.thoughts + other.thoughts,
            self.cached + other.cached,
            self.prompt_audio + other.prompt_audio,
            self.completion_audio + other.completion_audio,
        )


def read_usage(metadata: dict[str, Any]) -> Usage:
    """Return the tokens of one usageMetadata; what is missing or no number counts as 0."""
    prompt = _count(metadata.get("promptTokenCount")) + _count(metadata.get("toolUsePromptTokenCount"))
    thoughts = _count(metadata.get("thoughtsTokenCount"))
    completion = _count(metadata.get("candidatesTokenCount")) + thoughts
    return Usage(
        prompt=prompt,
        completion=completion,
        total=_count(metadata.get("totalTokenCount")) or prompt + completion,
        thoughts=thoughts,
        cached=_count(metadata.get("cachedContentTokenCount")),
        prompt_audio=_audio(metadata.get("promptTokensDetails")),
        completion_audio=_audio(metadata.get("candidatesTokensDetails")),
    )


def _count(value: object) -> int:
    # Google's JSON may carry an int64 as a string.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        return min(max(int(value), 0), MOST_TOKENS)
    except (ValueError, OverflowError):
        return 0


def _audio(details: object) -> int:
    rows = details if isinstance(details, list) else []
    found = (_count(row.get("tokenCount")) for row in rows if isinstance(row, dict) and row.get("modality") == "AUDIO")
    return min(sum(found), MOST_TOKENS)
