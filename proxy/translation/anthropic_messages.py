"""The messages of an Anthropic request: roles and blocks, each mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from proxy.translation import dialects, json_value, media, reading
from proxy.translation.invalid import Invalid, _
from proxy.translation.messages import without_data_images
from proxy.translation.reading import Document
from proxy.translation.turns import Message, Part, Role, Text, ToolCall

Parts = tuple[Part, ...]

_ROLES: Final = ("user", "assistant", "system")
_IMAGE_SOURCES: Final = ("base64", "url", "file")
_DOCUMENT_SOURCES: Final = (*_IMAGE_SOURCES, "text", "content")
# What a model that ran tools of its own has left in a history: nothing that Gemini could go on with.
_PASSED_OVER: Final = (
    "redacted_thinking",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
)


def read(value: Any) -> tuple[Message, ...]:
    """Read ``messages``: at least one, each with a known role, and each tool result after its call."""
    found = reading.items(value, "messages")
    if not found:
        raise Invalid(_("messages must hold at least one message."), param="messages")
    signatures: dict[str, str] = {}
    turns = [turn for index, each in enumerate(found) for turn in _turns(each, f"messages[{index}]", signatures)]
    dialects.check_answers(turns)
    return tuple(message for message, _place in turns)


def system(value: Any) -> tuple[Message, ...]:
    """Read ``system``: a text or a list of text blocks; nothing is no message."""
    if isinstance(value, str):
        parts: Parts = (Text(reading.text(value, "system")),)
    else:
        blocks = reading.items(value, "system")
        parts = tuple(part for each, at in _placed(blocks, "system") for part in _block(each, at, _ONLY_TEXT))
    return (Message(Role.SYSTEM, parts),) if parts else ()


def _turns(value: Any, place: str, signatures: dict[str, str]) -> list[tuple[Message, str]]:
    """Return the turns of one message: the results of calls are turns of their own, with the place of their id."""
    message = dialects.an_object(value, place)
    role = dialects.word(message.get("role"), f"{place}.role", _ROLES)
    at = f"{place}.content"
    content = dialects.needed(message.get("content"), at)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise Invalid.at(at, _("%(param)s must be a string or a list of blocks."))
    if role == "user":
        return list(_user(content, at))
    return [(_assistant(content, at, signatures) if role == "assistant" else _instruction(content, at), at)]


def _placed(blocks: list[Any], place: str) -> Iterator[tuple[Document, str]]:
    for index, each in enumerate(blocks):
        at = f"{place}[{index}]"
        yield dialects.an_object(each, at), at


def _instruction(blocks: list[Any], place: str) -> Message:
    parts = (part for each, at in _placed(blocks, place) for part in _block(each, at, _ONLY_TEXT))
    return Message(Role.SYSTEM, tuple(parts))


def _user(blocks: list[Any], place: str) -> Iterator[tuple[Message, str]]:
    """Yield the results of calls first, then what else the user says."""
    said: list[Part] = []
    answers = 0
    for block, at in _placed(blocks, place):
        if block.get("type") == "tool_result":
            answers += 1
            yield _result(block, at), f"{at}.tool_use_id"
        else:
            said += _block(block, at, _USER_BLOCKS)
    if said or not answers:
        yield Message(Role.USER, tuple(said)), place


def _assistant(blocks: list[Any], place: str, signatures: dict[str, str]) -> Message:
    parts: list[Part] = []
    for block, at in _placed(blocks, place):
        if block.get("type") == "thinking":
            dialects.note_signature(signatures, block.get("signature"))
        elif block.get("type") == "tool_use":
            parts.append(_call(block, at, signatures))
        else:
            parts += _block(block, at, _ASSISTANT_BLOCKS)
    return Message(Role.ASSISTANT, tuple(parts))


def _call(block: Document, place: str, signatures: dict[str, str]) -> ToolCall:
    call_id = dialects.name(block.get("id"), f"{place}.id")
    given = json_value.checked(reading.mapping(block.get("input"), f"{place}.input"), f"{place}.input")
    return ToolCall(call_id, dialects.name(block.get("name"), f"{place}.name"), given, signatures.get(call_id))


def _result(block: Document, place: str) -> Message:
    call_id = dialects.name(block.get("tool_use_id"), f"{place}.tool_use_id")
    content = block.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    blocks = reading.items(content, f"{place}.content")
    parts = [part for each, at in _placed(blocks, f"{place}.content") for part in _block(each, at, _USER_BLOCKS)]
    return dialects.answer(call_id, parts, failed=reading.flag(block.get("is_error"), f"{place}.is_error"))


def _block(block: Document, place: str, known: Mapping[str, Callable[[Document, str], Parts]]) -> Parts:
    kind = dialects.word(block.get("type"), f"{place}.type", tuple(known))
    return known[kind](block, place)


def _text(block: Document, place: str) -> Parts:
    return (Text(reading.text(block.get("text"), f"{place}.text")),)


def _said(block: Document, place: str) -> Parts:
    return (Text(without_data_images(reading.text(block.get("text"), f"{place}.text"))),)


def _nothing(block: Document, place: str) -> Parts:
    return ()


def _image(block: Document, place: str) -> Parts:
    return _source(block, f"{place}.source", _IMAGE_SOURCES)


def _document(block: Document, place: str) -> Parts:
    told = [reading.optional_text(block.get(field), f"{place}.{field}") for field in ("title", "context")]
    head = "\n".join(text for text in told if text)
    found = _source(block, f"{place}.source", _DOCUMENT_SOURCES)
    return (Text(head + "\n"), *found) if head else found


def _search_result(block: Document, place: str) -> Parts:
    title = reading.text(block.get("title"), f"{place}.title")
    source = reading.text(block.get("source"), f"{place}.source")
    blocks = reading.items(block.get("content"), f"{place}.content")
    texts = [part for each, at in _placed(blocks, f"{place}.content") for part in _block(each, at, _ONLY_TEXT)]
    return (Text(f"{title} ({source})\n"), *texts)


def _source(block: Document, place: str, kinds: tuple[str, ...]) -> Parts:
    source = dialects.an_object(block.get("source"), place)
    kind = dialects.word(source.get("type"), f"{place}.type", kinds)
    if kind == "content":
        return _inner(source.get("content"), f"{place}.content")
    field = {"base64": "data", "text": "data", "url": "url", "file": "file_id"}[kind]
    at = f"{place}.{field}"
    data = reading.text(source.get(field), at)
    match kind:
        case "base64":
            mime = reading.text(source.get("media_type"), f"{place}.media_type")
            return (media.from_url(f"data:{mime};base64,{data}", at),)
        case "url":
            return (media.from_url(data, at),)
        case "file":
            return (media.uploaded(data, None, at),)
        case _:
            return (Text(data),)


def _inner(value: Any, place: str) -> Parts:
    if isinstance(value, str):
        return (Text(reading.text(value, place)),)
    blocks = reading.items(value, place)
    return tuple(part for each, at in _placed(blocks, place) for part in _block(each, at, _INNER_BLOCKS))


_ONLY_TEXT: Final = {"text": _text}
_INNER_BLOCKS: Final = {"text": _text, "image": _image}
_USER_BLOCKS: Final = _INNER_BLOCKS | {"document": _document, "search_result": _search_result}
_ASSISTANT_BLOCKS: Final = {"text": _said, "image": _nothing} | dict.fromkeys(_PASSED_OVER, _nothing)
