"""The messages of an OpenAI chat: roles, texts and media, each mistake with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy.translation import media, reading
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.reading import Document
from proxy.translation.turns import Message, Part, Role, Text

_ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_TOOL_ROLES: Final = frozenset({"tool", "function"})


def read(value: Any) -> tuple[Message, ...]:
    """Read ``messages``: at least one, each with a known role."""
    found = reading.items(value, "messages")
    if not found:
        raise Invalid(_("messages must hold at least one message."), param="messages")
    return tuple(_message(each, f"messages[{index}]") for index, each in enumerate(found))


def _message(value: Any, place: str) -> Message:
    if not isinstance(value, dict):
        raise Invalid.at(place, _("%(param)s must be an object."))
    role = _role(value.get("role"), f"{place}.role")
    if role is Role.ASSISTANT:
        _refuse_calls(value, place)
    elif "content" not in value:
        raise Invalid.at(f"{place}.content", _("%(param)s is missing."))
    parts = _content(value.get("content"), f"{place}.content")
    if role is Role.ASSISTANT:
        parts = tuple(map(_without_images, parts))
    return Message(role, parts, reading.optional_text(value.get("name"), f"{place}.name"))


def _role(value: Any, place: str) -> Role:
    role = reading.text(value, place)
    if role in _TOOL_ROLES:
        raise Invalid.at(place, _("%(param)s: tool messages are not supported yet."))
    if role not in _ROLES:
        raise Invalid.at(
            place,
            _('%(param)s must be one of %(words)s, not "%(value)s".'),
            words=Term(", ".join(_ROLES)),
            value=shown(role),
        )
    return _ROLES[role]


def _refuse_calls(message: Document, place: str) -> None:
    for name in ("tool_calls", "function_call"):
        if message.get(name):
            raise Invalid.at(f"{place}.{name}", _("%(param)s: tool calls are not supported yet."))
    if message.get("audio"):
        raise Invalid.at(f"{place}.audio", _("%(param)s: audio output is not supported yet."))


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
    return read_part(value.get(kind), f"{place}.{kind}")


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
        return Text(without_data_images(part.text))
    return part


def without_data_images(text: str) -> str:
    """Return an answer without the pictures we put into it as ``![..](data:..)``, which clients send back as text."""
    kept: list[str] = []
    start = 0
    at = text.find("](data:")
    while at >= 0 and (end := text.find(")", at)) >= 0:
        opening = text.rfind("![", start, at)
        is_picture = opening >= 0 and "]" not in text[opening + 2 : at]
        kept.append(text[start : opening if is_picture else end + 1])
        start = end + 1
        at = text.find("](data:", start)
    return "".join(kept) + text[start:] if kept else text
