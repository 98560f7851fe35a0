"""Parts of tools that ran at Google's: kept as they are, and put back where they stood in the model's turn. Pure.

Gemini 3 wants them again, unchanged, in the next step of a turn in which it searched and called functions. OpenAI
has no form for them, so each is kept with its place among the text and the calls of its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from proxy.translation import json_value, reading
from proxy.translation.invalid import Invalid, _
from proxy.translation.turns import Chat, Message, Part, Role, ServerPart, Text, ToolCall

KINDS: Final = ("toolCall", "toolResponse")
# The field of extra_content.google that carries them.
FIELD: Final = "server_parts"
_MEMBERS: Final = frozenset({*KINDS, "thoughtSignature"})


def key(call_id: str) -> str:
    """Return the id under which the parts are kept that stood in one turn with the call ``call_id``, its first."""
    return f"{call_id}+parts"


def keys(chat: Chat) -> list[str]:
    """Return the keys of all that may be kept for a chat: of the answers that came back without such parts."""
    found = (_key_of(message) for message in chat.messages)
    return list(dict.fromkeys(each for each in found if each))


def document(parts: Iterable[ServerPart]) -> list[dict[str, Any]]:
    """Return the parts as clients carry them."""
    return [{"at": part.at, "calls": part.calls, "part": part.wire} for part in parts]


def dumped(parts: Iterable[ServerPart]) -> str:
    """Return the parts as one text, to be kept under ``key``."""
    return orjson.dumps(document(parts)).decode()


def read(value: Any, place: str) -> tuple[ServerPart, ...]:
    """Read what ``document`` wrote. Raises Invalid with the place of what is no such thing."""
    return tuple(_read(each, f"{place}[{index}]") for index, each in enumerate(reading.items(value, place)))


def with_kept(message: Message, kept: Mapping[str, str]) -> Message:
    """Return an answer with the parts that were ``kept`` for it; any other message as it is."""
    text = kept.get(_key_of(message) or "")
    if not text:
        return message
    return replace(message, parts=placed(message.parts, read(orjson.loads(text), FIELD)))


def placed(parts: Sequence[Part], served: Sequence[ServerPart]) -> tuple[Part, ...]:
    """Return the parts of an answer with those of Google's tools among them, each where it stood."""
    return tuple(_merged(parts, list(served))) if served else tuple(parts)


def _merged(parts: Sequence[Part], waiting: list[ServerPart]) -> Iterator[Part]:
    said = calls = 0
    for part in parts:
        if isinstance(part, Text):
            yield from _cut(part, said, waiting)
            said += len(part.text)
            continue
        if isinstance(part, ToolCall):
            yield from _due(waiting, calls)
            calls += 1
        yield part
    yield from waiting


def _cut(text: Text, said: int, waiting: list[ServerPart]) -> Iterator[Part]:
    """Yield a text in the pieces that stood between Google's parts; its signature stays with the last."""
    start, end = 0, len(text.text)
    while waiting and not waiting[0].calls and waiting[0].at < said + end:
        at = max(waiting[0].at - said, start)
        if at > start:
            yield Text(text.text[start:at])
        start = at
        yield waiting.pop(0)
    yield replace(text, text=text.text[start:]) if start else text


def _due(waiting: list[ServerPart], calls: int) -> Iterator[ServerPart]:
    while waiting and waiting[0].calls <= calls:
        yield waiting.pop(0)


def _key_of(message: Message) -> str | None:
    if message.role is not Role.ASSISTANT or any(isinstance(part, ServerPart) for part in message.parts):
        return None
    first = next((part for part in message.parts if isinstance(part, ToolCall)), None)
    return key(first.id) if first and first.id else None


def _read(value: Any, place: str) -> ServerPart:
    described = reading.mapping(value, place)
    at = reading.whole(described.get("at"), f"{place}.at", 0) or 0
    calls = reading.whole(described.get("calls"), f"{place}.calls", 0) or 0
    part = reading.mapping(described.get("part"), f"{place}.part")
    if not any(isinstance(part.get(kind), dict) for kind in KINDS) or not part.keys() <= _MEMBERS:
        raise Invalid.at(f"{place}.part", _("%(param)s must be a part that Google made."))
    json_value.checked(dict(part), f"{place}.part")
    return ServerPart(part, at, calls)
