"""Gemini's events -> deltas, one at a time, for streamed and whole answers alike. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Finish(StrEnum):
    """Why a choice ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More visible text of one choice."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More of what the model thought; not an answer by itself."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class FinishDelta:
    """One choice has ended."""

    finish: Finish
    index: int = 0


Delta = TextDelta | ThoughtDelta | FinishDelta


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
