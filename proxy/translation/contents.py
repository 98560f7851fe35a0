"""Messages -> systemInstruction and contents, in an order and shape that Gemini takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

from proxy.translation.families import Profile
from proxy.translation.turns import Inline, Link, Message, Part, Role, Text

# Said for the client where a model does not go on from an answer that it finds begun.
CONTINUE: Final = "Continue your last message exactly where it stops, without repeating any of it."

# SillyTavern marks example dialogue with these names; they are nobody's.
_NOBODY: Final = frozenset({"example_user", "example_assistant"})
_RESOLUTIONS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}

Content = dict[str, Any]


def contents_of(
    messages: Sequence[Message], profile: Profile, *, system_instruction: bool
) -> tuple[list[Content], list[Content]]:
    """Return the parts of the system instruction (may be empty) and the contents (never empty, with a user turn).

    Without ``system_instruction`` its texts become user turns like every later system message. Neighbours of
    one role are joined, empty texts and messages dropped.
    """
    leading = list(takewhile(_is_instruction, messages)) if system_instruction else []
    system = [part for message in leading for part in _parts(message, profile)]
    contents = _joined((_role(message), _parts(message, profile)) for message in messages[len(leading) :])
    if not contents:
        # "contents is not specified": something has to be said to the model.
        return [], [{"role": "user", "parts": system or [{"text": " "}]}]
    if _ends_open(contents) and (not profile.prefill or len(contents) == 1):
        contents.append({"role": "user", "parts": [{"text": CONTINUE}]})
    return system, contents


def last_user_parts(contents: Sequence[Content]) -> list[Content]:
    """Return the parts of the last user turn, to be added to."""
    parts: list[Content] = next(content["parts"] for content in reversed(contents) if content["role"] == "user")
    return parts


def _is_instruction(message: Message) -> bool:
    return message.role is Role.SYSTEM and all(isinstance(part, Text) for part in message.parts)


def _ends_open(contents: Sequence[Content]) -> bool:
    """Return whether the last turn is the model's, to be continued by it."""
    return bool(contents[-1]["role"] == "model")


def _role(message: Message) -> str:
    return "model" if message.role is Role.ASSISTANT else "user"


def _joined(turns: Iterable[tuple[str, list[Content]]]) -> list[Content]:
    contents: list[Content] = []
    for role, parts in turns:
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"].extend(parts)
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, profile: Profile) -> list[Content]:
    parts = [_part(part, profile) for part in message.parts if not isinstance(part, Text) or part.text]
    if message.name and message.role is not Role.SYSTEM and message.name not in _NOBODY:
        _say_name(parts, message.name)
    return parts


def _say_name(parts: list[Content], name: str) -> None:
    """Let the first text begin with the speaker's name: Gemini has no field for it."""
    for part in parts:
        if "text" in part:
            if not part["text"].startswith(f"{name}: "):
                part["text"] = f"{name}: {part['text']}"
            return


def _part(part: Part, profile: Profile) -> Content:
    if isinstance(part, Text):
        return {"text": part.text}
    if isinstance(part, Link):
        kind = {"mimeType": part.mime} if part.mime else {}
        return _resolved({"fileData": {**kind, "fileUri": part.url}}, part, profile)
    return _resolved({"inlineData": {"mimeType": part.mime, "data": part.data}}, part, profile)


def _resolved(wire: Content, part: Inline | Link, profile: Profile) -> Content:
    level = _RESOLUTIONS.get(part.detail or "")
    if level and profile.media_resolution:
        wire["mediaResolution"] = {"level": level}
    return wire
