"""The data of a parsed OpenAI chat request: what every later step reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class Role(StrEnum):
    """Who speaks. ``developer`` is read as system."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a message. ``signature`` is Gemini's thought signature of this very part, if the client returned it."""

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Inline:
    """Media carried in the request itself; ``data`` is clean standard base64.

    ``signature`` is Gemini's thought signature of this very part, if the client returned it.
    """

    mime: str
    data: str
    detail: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Media somewhere else: YouTube and Google's file service go upstream as they are, others are fetched first.

    ``place`` names where in the request it stands.
    """

    url: str
    mime: str | None = None
    detail: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made in an earlier turn. ``signature`` as the client returned it; None: look it up by id.

    ``id`` is empty where the client's form has none; such a call is answered by its name.
    """

    id: str
    name: str
    arguments: Mapping[str, Any]
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to the call with the id ``call_id``, or, where that is empty, to the last one of this ``name``."""

    call_id: str
    response: Mapping[str, Any]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ServerPart:
    """A part of Gemini's about a tool that ran at Google's, ``wire`` as it came.

    ``at`` is how many characters of its answer's text came before, ``calls`` how many of its calls of functions.
    """

    wire: Mapping[str, Any]
    at: int = 0
    calls: int = 0


Part = Text | Inline | Link | ToolCall | ToolResult | ServerPart


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. ``parameters`` is JSON Schema as the client sent it, None for no arguments."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may, must or must not call; ``names`` narrows it to these functions."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Voice:
    """Sound that is asked for: a voice's name, and the format of the sound."""

    name: str
    format: str = "wav"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn as the client sent it. ``parts`` may be empty; tool results stand in a turn after their call's."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A whole chat request. None means the client did not say.

    ``max_tokens`` is of visible text, at least 1; ``thinking_budget`` is in tokens, 0 = off, -1 = the model decides.
    ``web_search_at`` is the place where the client turned web search on.
    ``json_mode`` asks for JSON, of the shape ``json_schema`` if that is set; ``image_config`` is Google's imageConfig.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None
    safety_settings: tuple[dict[str, Any], ...] | None = None
    web_search: bool = False
    web_search_at: str = ""
    cached_content: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    old_functions: bool = False
    json_mode: bool = False
    json_schema: Mapping[str, Any] | None = None
    modalities: tuple[Literal["text", "image", "audio"], ...] = ()
    voice: Voice | None = None
    image_config: Mapping[str, str] | None = None
