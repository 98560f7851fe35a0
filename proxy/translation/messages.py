"""The messages of an OpenAI chat: roles, texts, media, calls and results, each mistake with its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from proxy.translation import calls, media, reading, served
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.reading import Document
from proxy.translation.turns import Inline, Message, Part, Role, Text

ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}


def read(value: Any) -> tuple[Message, ...]:
    """Read ``messages``: at least one, each with a known role, and each tool result after its call."""
    found = reading.items(value, "messages")
    if not found:
        raise Invalid(_("messages must hold at least one message."), param="messages")
    messages = tuple(_message(each, f"messages[{index}]") for index, each in enumerate(found))
    calls.check_answers(messages)
    return messages


def _message(value: Any, place: str) -> Message:
    if not isinstance(value, dict):
        raise Invalid.at(place, _("%(param)s must be an object."))
    word = reading.text(value.get("role"), f"{place}.role")
    role = _role(word, f"{place}.role")
    if role is not Role.ASSISTANT and "content" not in value:
        raise Invalid.at(f"{place}.content", _("%(param)s is missing."))
    parts = _content(value.get("content"), f"{place}.content")
    if role is Role.ASSISTANT:
        parts = _answer(value, parts, place)
    elif role is Role.TOOL:
        # Its name is the function's, if it has one, and no speaker's.
        return Message(role, (calls.old_result if word == "function" else calls.result)(value, parts, place))
    return Message(role, parts, reading.optional_text(value.get("name"), f"{place}.name"))


def _role(word: str, place: str) -> Role:
    if word not in ROLES:
        raise Invalid.at(
            place,
            _('%(param)s must be one of %(words)s, not "%(value)s".'),
            words=Term(", ".join(ROLES)),
            value=shown(word),
        )
    return ROLES[word]


def _answer(message: Document, parts: tuple[Part, ...], place: str) -> tuple[Part, ...]:
    """Return all of an answer that the client sends back: its text, the images beside it, its calls."""
    if message.get("audio") and not parts:
        sentence = _("%(param)s: sound of earlier answers is not kept here; send its transcript as content.")
        raise Invalid.at(f"{place}.audio", sentence)
    made = calls.made(message, place)
    parts = _signed(tuple(map(_without_images, parts)), calls.signature(message, place), alone=not made)
    pictures = reading.items(message.get("images"), f"{place}.images")
    images = tuple(_part(each, f"{place}.images[{index}]") for index, each in enumerate(pictures))
    return served.placed((*parts, *images, *made), calls.server_parts(message, place))


def _signed(parts: tuple[Part, ...], signature: str | None, *, alone: bool) -> tuple[Part, ...]:
    """Return the parts with a message's signature on the last text: that is where Gemini's was."""
    if signature is None:
        return parts
    for index in reversed(range(len(parts))):
        part = parts[index]
        if isinstance(part, Text):
            return (*parts[:index], replace(part, signature=signature), *parts[index + 1 :])
    return (*parts, Text("", signature)) if alone else parts


def _content(value: Any, place: str) -> tuple[Part, ...]:
    """Read ``content``: a text, a list of parts, or null, which is no content."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(reading.text(value, place)),)
    if not isinstance(value, list):
        raise Invalid.at(place, _("%(param)s must be a string or a list of parts."))
    return tuple(_part(each, f"{place}[{index}]") for index, each in enumerate(value))


def _part(value: Any, place: str) -> Part:
    if not isinstance(value, dict):
        raise Invalid.at(place, _("%(param)s must be an object."))
    kind = reading.text(value.get("type"), f"{place}.type")
    read_part = _PARTS.get(kind)
    if read_part is None:
        raise Invalid.at(
            f"{place}.type",
            _('%(param)s must be one of %(words)s, not "%(value)s".'),
            words=Term(", ".join(_PARTS)),
            value=shown(kind),
        )
    part = read_part(value.get(kind), f"{place}.{kind}")
    if isinstance(part, Text | Inline) and value.get("extra_content"):
        return replace(part, signature=calls.signature(value, place))
    return part


def _text(value: Any, place: str) -> Part:
    return Text(reading.text(value, place))


def _url(value: Any, place: str) -> Part:
    """Read ``image_url`` or ``video_url``: an object with a ``url``, or the address itself."""
    if isinstance(value, str):
        value = {"url": value}
    described = reading.mapping(value, place)
    url = reading.text(described.get("url"), f"{place}.url")
    detail = reading.optional_text(described.get("detail"), f"{place}.detail")
    return media.from_url(url, place, detail=detail)


def _audio(value: Any, place: str) -> Part:
    described = reading.mapping(value, place)
    data = reading.text(described.get("data"), f"{place}.data")
    form = reading.text(described.get("format", "wav"), f"{place}.format")
    return media.audio(data, form, place)


def _file(value: Any, place: str) -> Part:
    described = reading.mapping(value, place)
    filename = reading.optional_text(described.get("filename"), f"{place}.filename")
    file_id = reading.optional_text(described.get("file_id"), f"{place}.file_id")
    if file_id is not None:
        kind = reading.optional_text(described.get("format"), f"{place}.format")
        return media.uploaded(file_id, kind, f"{place}.file_id")
    data = reading.text(described.get("file_data"), f"{place}.file_data")
    return media.file(data, filename, f"{place}.file_data")


_PARTS: Final[dict[str, Callable[[Any, str], Part]]] = {
    "text": _text,
    "image_url": _url,
    "video_url": _url,
    "input_audio": _audio,
    "file": _file,
    # An assistant's own refusal, sent back with the history.
    "refusal": _text,
}


def _without_images(part: Part) -> Part:
    if isinstance(part, Text) and "](data:" in part.text:
        return replace(part, text=without_data_images(part.text))
    return part


def without_data_images(text: str) -> str:
    """Return an answer without the pictures and sounds we put into it, which clients send back as text.

    Those are ``![..](data:..)``, and for what is no picture links like ``[audio](data:audio/..)``.
    """
    kept: list[str] = []
    start = 0
    at = text.find("](data:")
    while at >= 0 and (end := text.find(")", at)) >= 0:
        opening = text.rfind("[", start, at)
        label = text[opening + 1 : at]
        is_picture = opening > start and text[opening - 1] == "!"
        is_media = opening >= 0 and "]" not in label and text.startswith(f"](data:{label}/", at)
        kept.append(text[start : opening - is_picture if is_picture or is_media else end + 1])
        start = end + 1
        at = text.find("](data:", start)
    return "".join(kept) + text[start:] if kept else text
