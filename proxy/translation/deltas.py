"""What an answer is made of on its way from Gemini's events to a client's dialect. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy.translation.turns import ServerPart


class Finish(StrEnum):
    """Why a choice ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


# Not frozen: that doubles the price of making one, and one is made for each piece of text.
@dataclass(slots=True)
class TextDelta:
    """More visible text of one choice. The first one of a choice is never blank."""

    text: str
    index: int = 0


@dataclass(slots=True)
class ThoughtDelta:
    """More of what the model thought; not an answer by itself."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class MediaDelta:
    """An image, or sound, that the model made; ``data`` is base64.

    ``order`` counts the media of a choice from 0; ``at`` is how many characters of its text came before.
    """

    mime: str
    data: str
    index: int = 0
    order: int = 0
    at: int = 0
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One whole call of a function. ``order`` counts the calls of a choice from 0; ``arguments`` is JSON text.

    ``signature`` is the thought signature of this very call, None when it came without one.
    """

    id: str
    name: str
    arguments: str
    order: int
    index: int = 0
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureDelta:
    """The thought signature of a choice's text; comes at most once, when the text is whole."""

    signature: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ServedDelta:
    """The parts of tools that ran at Google's, in their order; comes at most once, when the choice is whole.

    ``call_id`` is the first call of a function in the same choice, '' when it has none.
    """

    parts: tuple[ServerPart, ...]
    call_id: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A page that an answer draws on."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """What backs a piece of a choice's text: characters ``start`` to ``end`` (exclusive) of all its TextDeltas."""

    start: int
    end: int
    source: Source


@dataclass(frozen=True, slots=True)
class AnnotationsDelta:
    """Where a choice's text comes from; comes at most once, when the text is whole.

    ``sources`` are all pages that were found, in Google's order, also those that back no single piece.
    """

    annotations: tuple[Annotation, ...]
    sources: tuple[Source, ...] = ()
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


Delta = (
    EventDelta
    | TextDelta
    | ThoughtDelta
    | MediaDelta
    | ToolCallDelta
    | SignatureDelta
    | ServedDelta
    | AnnotationsDelta
    | LogprobsDelta
    | FinishDelta
)
