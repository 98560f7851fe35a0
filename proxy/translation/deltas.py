"""What an answer is made of on its way from Gemini's events to a client's dialect. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Finish(StrEnum):
    """Why a choice ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More visible text of one choice. The first one of a choice is never blank."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More of what the model thought; not an answer by itself."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class MediaDelta:
    """An image, or sound, that the model made; ``data`` is base64."""

    mime: str
    data: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One whole call of a function. ``order`` counts the calls of a choice from 0; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str
    order: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class LogprobsDelta:
    """Rows of ``logprobs.content`` for text that has come."""

    rows: tuple[dict[str, Any], ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class FinishDelta:
    """One choice has ended."""

    finish: Finish
    index: int = 0


@dataclass(frozen=True, slots=True)
class EventDelta:
    """One event of Gemini's as it came, for clients of its own dialect. ``is_thought``: nothing visible came yet."""

    event: dict[str, Any]
    is_thought: bool = False
    index: int = 0


Delta = EventDelta | TextDelta | ThoughtDelta | MediaDelta | ToolCallDelta | LogprobsDelta | FinishDelta
