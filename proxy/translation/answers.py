"""Which tool result answers which call. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.translation.turns import Message, ToolCall, ToolResult

# Where a part stands: the message's index, and the part's in it.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Matched:
    """``answers`` are results by the place of the call; ``unknown`` the places of results that answer no call."""

    answers: Mapping[Place, ToolResult]
    unknown: tuple[Place, ...]


@dataclass(slots=True)
class _Calls:
    """The calls of one id (or, without ids, one name) in the last message that made any."""

    message: int
    places: list[Place] = field(default_factory=list)
    answered: int = 0


def matched(messages: Sequence[Message]) -> Matched:
    """Return what answers each call: by id, and where a client uses one id twice, the latest calls in their order.

    A result that comes again takes the place of the one before.
    """
    calls: dict[tuple[str, str | None], _Calls] = {}
    answers: dict[Place, ToolResult] = {}
    unknown: list[Place] = []
    for index, message in enumerate(messages):
        for number, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                _note(calls, part, (index, number))
            elif isinstance(part, ToolResult):
                found = calls.get(_key(part.call_id, part.name))
                if found is None:
                    unknown.append((index, number))
                else:
                    answers[_next(found)] = part
    return Matched(answers, tuple(unknown))


def _note(calls: dict[tuple[str, str | None], _Calls], call: ToolCall, place: Place) -> None:
    key = _key(call.id, call.name)
    if key not in calls or calls[key].message != place[0]:
        calls[key] = _Calls(place[0])
    calls[key].places.append(place)


def _next(calls: _Calls) -> Place:
    place = calls.places[min(calls.answered, len(calls.places) - 1)]
    calls.answered += 1
    return place


def _key(call_id: str, name: str | None) -> tuple[str, str | None]:
    return call_id, None if call_id else name
