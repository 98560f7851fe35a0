"""The input of an OpenAI response: items in, turns out, each mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from proxy.translation import dialects, media, reading
from proxy.translation.calls import arguments_of
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.messages import without_data_images
from proxy.translation.reading import Document
from proxy.translation.turns import Message, Part, Role, Text, ToolCall

_ROLES: Final = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}
# What tools of the server's own have left in a history: nothing that Gemini could go on with.
_PASSED_OVER: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "image_generation_call",
        "code_interpreter_call",
        "mcp_list_tools",
        "mcp_call",
        "compaction",
    }
)


def instructions(value: Any) -> tuple[Message, ...]:
    """Read ``instructions``: a system message, or nothing."""
    text = reading.optional_text(value, "instructions")
    return (Message(Role.SYSTEM, (Text(text),)),) if text else ()


def read(value: Any) -> tuple[Message, ...]:
    """Read ``input``: a text, or at least one item. Neighbouring items of the assistant's are one turn."""
    if isinstance(value, str):
        return (Message(Role.USER, (Text(reading.text(value, "input")),)),)
    found = reading.items(dialects.needed(value, "input"), "input")
    if not found:
        raise Invalid.at("input", _("%(param)s must hold at least one item."))
    turns = list(_joined(_turns(found)))
    dialects.check_answers(turns)
    return tuple(message for message, _place in turns) or (Message(Role.USER, ()),)


def _turns(found: list[Any]) -> Iterator[tuple[Message, str]]:
    """Yield the turns of the items, each with the place of its call's id."""
    signatures: dict[str, str] = {}
    for index, each in enumerate(found):
        place = f"input[{index}]"
        item = dialects.an_object(each, place)
        kind = reading.optional_text(item.get("type"), f"{place}.type") or "message"
        if kind in _PASSED_OVER:
            continue
        match kind:
            case "message":
                yield _message(item, place), place
            case "reasoning":
                dialects.note_signature(signatures, item.get("encrypted_content"))
            case "function_call":
                yield Message(Role.ASSISTANT, (_call(item, place, signatures),)), place
            case "function_call_output":
                yield _result(item, place), f"{place}.call_id"
            case _:
                raise _unknown(kind, f"{place}.type")


def _unknown(kind: str, place: str) -> Invalid:
    if kind == "item_reference":
        return Invalid.at(place, _("%(param)s: nothing is stored here; send the item itself."))
    return Invalid.at(place, _('%(param)s: items of the type "%(value)s" are not served here.'), value=shown(kind))


def _joined(turns: Iterator[tuple[Message, str]]) -> Iterator[tuple[Message, str]]:
    """Yield the turns, neighbours of the assistant's in one."""
    spoken: list[Part] = []
    for message, place in turns:
        if message.role is Role.ASSISTANT:
            spoken += message.parts
            continue
        if spoken:
            yield Message(Role.ASSISTANT, tuple(spoken)), place
            spoken = []
        yield message, place
    if spoken:
        yield Message(Role.ASSISTANT, tuple(spoken)), "input"


def _message(item: Document, place: str) -> Message:
    role = _ROLES[dialects.word(item.get("role"), f"{place}.role", tuple(_ROLES))]
    at = f"{place}.content"
    known = _ASSISTANT_PARTS if role is Role.ASSISTANT else _PARTS
    return Message(role, _content(dialects.needed(item.get("content"), at), at, known))


def _call(item: Document, place: str, signatures: dict[str, str]) -> ToolCall:
    call_id = dialects.name(item.get("call_id"), f"{place}.call_id")
    given = arguments_of(item.get("arguments"), f"{place}.arguments")
    return ToolCall(call_id, dialects.name(item.get("name"), f"{place}.name"), given, signatures.get(call_id))


def _result(item: Document, place: str) -> Message:
    call_id = dialects.name(item.get("call_id"), f"{place}.call_id")
    at = f"{place}.output"
    return dialects.answer(call_id, _content(dialects.needed(item.get("output"), at), at, _PARTS))


def _content(value: Any, place: str, known: Mapping[str, Callable[[Document, str], Part]]) -> tuple[Part, ...]:
    if isinstance(value, str):
        value = [{"type": "output_text" if known is _ASSISTANT_PARTS else "input_text", "text": value}]
    if not isinstance(value, list):
        raise Invalid.at(place, _("%(param)s must be a string or a list of parts."))
    return tuple(_part(each, f"{place}[{index}]", known) for index, each in enumerate(value))


def _part(value: Any, place: str, known: Mapping[str, Callable[[Document, str], Part]]) -> Part:
    part = dialects.an_object(value, place)
    return known[dialects.word(part.get("type"), f"{place}.type", tuple(known))](part, place)


def _text(part: Document, place: str) -> Part:
    return Text(reading.text(part.get("text"), f"{place}.text"))


def _said(part: Document, place: str) -> Part:
    return Text(without_data_images(reading.text(part.get("text"), f"{place}.text")))


def _refusal(part: Document, place: str) -> Part:
    return Text(reading.text(part.get("refusal"), f"{place}.refusal"))


def _image(part: Document, place: str) -> Part:
    detail = reading.optional_text(part.get("detail"), f"{place}.detail")
    if part.get("file_id") is not None:
        return media.uploaded(reading.text(part["file_id"], f"{place}.file_id"), None, f"{place}.file_id")
    at = f"{place}.image_url"
    return media.from_url(reading.text(dialects.needed(part.get("image_url"), at), at), at, detail=detail)


def _file(part: Document, place: str) -> Part:
    filename = reading.optional_text(part.get("filename"), f"{place}.filename")
    for field in ("file_id", "file_url", "file_data"):
        at = f"{place}.{field}"
        found = reading.optional_text(part.get(field), at)
        if found is not None:
            return media.uploaded(found, None, at) if field == "file_id" else media.file(found, filename, at)
    raise Invalid.at(f"{place}.file_data", _("%(param)s is missing."))


def _audio(part: Document, place: str) -> Part:
    at = f"{place}.input_audio"
    sound = dialects.an_object(part.get("input_audio"), at)
    data = reading.text(sound.get("data"), f"{at}.data")
    return media.audio(data, reading.text(sound.get("format", "wav"), f"{at}.format"), at)


_PARTS: Final[Mapping[str, Callable[[Document, str], Part]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
_ASSISTANT_PARTS: Final[Mapping[str, Callable[[Document, str], Part]]] = {
    "output_text": _said,
    "input_text": _said,
    "text": _said,
    "refusal": _refusal,
}
