"""What the readers and writers of Anthropic's messages and OpenAI's responses share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import orjson

from proxy.translation import reading
from proxy.translation.answers import matched
from proxy.translation.calls import response_of
from proxy.translation.deltas import Delta, MediaDelta, TextDelta, ThoughtDelta
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.sound import playable
from proxy.translation.tools import MOST_TOOLS
from proxy.translation.turns import Message, Part, Role, Text, Tool, ToolResult

LONGEST_MODEL: Final = 256
MOST_STOPS: Final = 5

_SEAL: Final = "hajimi1."
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def model_name(value: Any) -> str:
    """Read ``model``."""
    if value is None:
        raise Invalid(_("model is missing."), param="model")
    model = reading.text(value, "model")
    if not model.strip() or len(model) > LONGEST_MODEL:
        raise Invalid(_("model must be the name of a model."), param="model")
    return model


def needed(value: Any, place: str) -> Any:
    """Return a value that must be there."""
    if value is None:
        raise Invalid.at(place, _("%(param)s is missing."))
    return value


def an_object(value: Any, place: str) -> reading.Document:
    """Return a JSON object that must be there."""
    return reading.mapping(needed(value, place), place)


def name(value: Any, place: str) -> str:
    """Return a text that must not be empty."""
    if not (found := reading.text(needed(value, place), place)):
        raise Invalid.at(place, _("%(param)s is empty."))
    return found


def word(value: Any, place: str, words: tuple[str, ...]) -> str:
    """Return one of ``words``, which must be there."""
    found = reading.text(needed(value, place), place)
    if found not in words:
        raise Invalid.at(
            place,
            _('%(param)s must be one of %(words)s, not "%(value)s".'),
            words=Term(", ".join(words)),
            value=shown(found),
        )
    return found


def add(functions: dict[str, Tool], tool: Tool, place: str) -> None:
    """Add a function to those of the request; Invalid when another one has its name, or there are too many."""
    if functions.setdefault(tool.name, tool) != tool:
        sentence = _('%(param)s: there is another function named "%(value)s".')
        raise Invalid.at(f"{place}.name", sentence, value=shown(tool.name))
    if len(functions) > MOST_TOOLS:
        raise Invalid.at(place, _("%(param)s is one too many; %(most)s functions may be offered."), most=MOST_TOOLS)


def chosen(functions: Mapping[str, Tool], value: Any, place: str) -> str:
    """Read the name of a function that is to be called, which must be one of ``functions``."""
    found = name(value, place)
    if found not in functions:
        raise Invalid.at(place, _('%(param)s: there is no function "%(value)s".'), value=shown(found))
    return found


def answer(call_id: str, parts: Sequence[Part], *, failed: bool = False) -> Message:
    """Return the turn that answers a call with ``parts``: its texts as the result, media beside it."""
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    media = [part for part in parts if not isinstance(part, Text)]
    response = {"error": text} if failed else response_of(text)
    return Message(Role.TOOL, (ToolResult(call_id, response), *media))


def check_answers(turns: Sequence[tuple[Message, str]]) -> None:
    """Refuse the first result that answers no call before it; each turn comes with the place of its call's id."""
    for index, part in matched([message for message, _place in turns]).unknown:
        message, place = turns[index]
        result = message.parts[part]
        if isinstance(result, ToolResult):
            sentence = _('%(param)s is "%(value)s", but nothing before it calls that.')
            raise Invalid.at(place, sentence, value=shown(result.call_id))


def joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """Yield deltas with neighbouring texts, and neighbouring thoughts, in one."""
    for kind, run in groupby(deltas, key=type):
        if kind is TextDelta or kind is ThoughtDelta:
            yield kind("".join([delta.text for delta in run]))  # type: ignore[union-attr]
        else:
            yield from run


def framed(kind: str, event: Mapping[str, Any]) -> bytes:
    """Return an event of this kind as it is sent."""
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def link(media: MediaDelta) -> str:
    """Return media as markdown, for dialects that have no better place for it."""
    mime, data = media.mime, media.data
    if mime.startswith("audio/"):
        mime, data = playable(mime, data)
    mark = "!" if mime.startswith("image/") else ""
    return f"{mark}[{mime.partition('/')[0]}](data:{mime};base64,{data})"


# Both dialects have one field for what a model wants back unread. It names the call whose thought signature it is:
# clients may move it, and a signature belongs to its own call alone.


def seal(call_id: str, signature: str) -> str:
    """Return a call's thought signature as clients carry it."""
    return f"{_SEAL}{call_id}.{signature}"


def note_signature(signatures: dict[str, str], sealed: object) -> None:
    """Add the signature in ``sealed`` to ``signatures``, by its call's id; what another model made is passed over."""
    if not isinstance(sealed, str) or not sealed.startswith(_SEAL):
        return
    call_id, dot, signature = sealed.removeprefix(_SEAL).rpartition(".")
    if dot and _SIGNATURE.fullmatch(signature):
        signatures[call_id] = signature
