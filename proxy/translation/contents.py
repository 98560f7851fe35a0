"""Messages -> systemInstruction and contents, in an order and shape that Gemini takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import orjson

from proxy.translation import served
from proxy.translation.answers import Matched, matched
from proxy.translation.families import Profile
from proxy.translation.turns import Inline, Link, Message, Part, Role, ServerPart, Text, ToolCall, ToolResult

# Said for the client where a model does not go on from an answer that it finds begun.
CONTINUE: Final = "Continue your last message exactly where it stops, without repeating any of it."
# Said where something has to be said to the model and the client said nothing.
NOTHING: Final = " "
# Google's own word for a signature that is lost, as base64: ai.google.dev/gemini-api/docs/thought-signatures
SKIP_SIGNATURE: Final = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
NO_RESULT: Final[Mapping[str, Any]] = {"error": "no result"}

# SillyTavern marks example dialogue with these names; they are nobody's.
_NOBODY: Final = frozenset({"example_user", "example_assistant"})
_RESOLUTIONS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What the contents depend on beside the messages.

    ``names`` gives the name of each function as Gemini knows it, ``signatures`` the thought signatures of calls by
    their id, and the parts of Google's tools by ``served.key``. These go back only to a model that has the tools
    again: ``serves``.
    """

    profile: Profile
    names: Mapping[str, str]
    signatures: Mapping[str, str]
    serves: bool = False


def contents_of(
    messages: Sequence[Message], told: Told, *, system_instruction: bool
) -> tuple[list[Content], list[Content]]:
    """Return the parts of the system instruction (may be empty) and the contents (never empty, with a user turn).

    Without ``system_instruction`` its texts become user turns like every later system message. Neighbours of
    one role are joined, empty texts and messages dropped. The results of calls follow their calls at once.
    """
    if told.serves:
        messages = [served.with_kept(message, told.signatures) for message in messages]
    leading = list(takewhile(_is_instruction, messages)) if system_instruction else []
    system = [part for message in leading for part in _parts(message, told)]
    contents = _joined(_turns(messages[len(leading) :], told))
    if not contents:
        # "contents is not specified": something has to be said to the model.
        return [], [{"role": "user", "parts": system or [{"text": NOTHING}]}]
    if contents[0]["role"] == "model" and _calls_in(contents[0]):
        # "function call turn comes immediately after a user turn or after a function response turn."
        contents.insert(0, {"role": "user", "parts": [{"text": NOTHING}]})
    if _ends_open(contents) and (not told.profile.prefill or len(contents) == 1):
        contents.append({"role": "user", "parts": [{"text": CONTINUE}]})
    if told.profile.signatures:
        _replace_lost_signatures(contents)
    return system, contents


def last_user_parts(contents: Sequence[Content]) -> list[Content]:
    """Return the parts of the last user turn, to be added to; one without results of calls if there is any."""
    turns = [content["parts"] for content in contents if content["role"] == "user"]
    parts: list[Content] = next((turn for turn in reversed(turns) if not _has_results(turn)), turns[-1])
    return parts


def _is_instruction(message: Message) -> bool:
    return message.role is Role.SYSTEM and all(isinstance(part, Text) for part in message.parts)


def _ends_open(contents: Sequence[Content]) -> bool:
    """Return whether the last turn is the model's, to be continued by it."""
    return bool(contents[-1]["role"] == "model")


def _turns(messages: Sequence[Message], told: Told) -> Iterator[tuple[str, list[Content]]]:
    answers = matched(messages)
    for index, message in enumerate(messages):
        yield "model" if message.role is Role.ASSISTANT else "user", _parts(message, told)
        yield "user", list(_results(index, message, answers, told))


def _results(index: int, message: Message, answers: Matched, told: Told) -> Iterator[Content]:
    """Return what answers the calls of one message, in their order: as many as there are calls, or it is refused."""
    for number, part in enumerate(message.parts):
        if isinstance(part, ToolCall):
            answer = answers.answers.get((index, number))
            yield _result(part, answer.response if answer else NO_RESULT, told)


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


def _parts(message: Message, told: Told) -> list[Content]:
    parts = [_part(part, told) for part in message.parts if _says_something(part, told)]
    if message.name and message.role is not Role.SYSTEM and message.name not in _NOBODY:
        _say_name(parts, message.name)
    return parts


def _says_something(part: Part, told: Told) -> bool:
    """Return whether a part is sent in its place: no empty text, and no result, which goes to its call."""
    if isinstance(part, Text):
        return bool(part.text or part.signature)
    if isinstance(part, ServerPart):
        return told.serves
    return not isinstance(part, ToolResult)


def _say_name(parts: list[Content], name: str) -> None:
    """Let the first text begin with the speaker's name: Gemini has no field for it."""
    for part in parts:
        if "text" in part:
            # A signed text is not to be touched.
            if not part["text"].startswith(f"{name}: ") and "thoughtSignature" not in part:
                part["text"] = f"{name}: {part['text']}"
            return


def _part(part: Part, told: Told) -> Content:
    match part:
        case Text(text=text, signature=signature):
            return _signed({"text": text}, signature)
        case ToolCall():
            return _call(part, told)
        case Link(url=url, mime=mime):
            kind = {"mimeType": mime} if mime else {}
            return _resolved({"fileData": {**kind, "fileUri": url}}, part, told.profile)
        case Inline(mime=mime, data=data, signature=signature):
            wire = _resolved({"inlineData": {"mimeType": mime, "data": data}}, part, told.profile)
            return _signed(wire, signature)
        case ServerPart(wire=wire):
            return dict(wire)
    raise AssertionError(f"{type(part).__name__} has no place of its own")


def _call(call: ToolCall, told: Told) -> Content:
    name = told.names[call.name]
    if not told.profile.functions:
        return {"text": f"[{name}({orjson.dumps(call.arguments).decode()})]"}
    wire = {"functionCall": {**_id(call), "name": name, "args": call.arguments}}
    return _signed(wire, call.signature or told.signatures.get(call.id))


def _result(call: ToolCall, response: Mapping[str, Any], told: Told) -> Content:
    name = told.names[call.name]
    if not told.profile.functions:
        return {"text": f"[{name}: {orjson.dumps(response).decode()}]"}
    return {"functionResponse": {**_id(call), "name": name, "response": response}}


def _id(call: ToolCall) -> dict[str, str]:
    return {"id": call.id} if call.id else {}


def _signed(wire: Content, signature: str | None) -> Content:
    return {**wire, "thoughtSignature": signature} if signature else wire


def _resolved(wire: Content, part: Inline | Link, profile: Profile) -> Content:
    level = _RESOLUTIONS.get(part.detail or "")
    if level and profile.media_resolution:
        wire["mediaResolution"] = {"level": level}
    return wire


def _replace_lost_signatures(contents: Sequence[Content]) -> None:
    """Sign the first call of each step of the current turn whose signature is lost: without one it is refused.

    The current turn begins with the last thing the user said; what came before is not checked.
    """
    for content in reversed(contents):
        if content["role"] == "user" and not _has_results(content["parts"]):
            return
        if content["role"] == "model" and (calls := _calls_in(content)):
            calls[0].setdefault("thoughtSignature", SKIP_SIGNATURE)


def _calls_in(content: Content) -> list[Content]:
    return [part for part in content["parts"] if "functionCall" in part]


def _has_results(parts: Sequence[Content]) -> bool:
    return any("functionResponse" in part for part in parts)
