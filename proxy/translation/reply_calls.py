"""Gemini's function calls -> whole tool calls: ids, names, pieces put together. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.translation.deltas import ToolCallDelta
from proxy.translation.partial_args import PartialArgs

_LONGEST_ID: Final = 40


@dataclass(frozen=True, slots=True)
class CallRules:
    """How a request's calls are told; see ``Translator``."""

    names: Mapping[str, str]
    parallel: bool = True
    taken: Callable[[str], bool] | None = None


@dataclass(slots=True)
class _Open:
    """A call whose arguments still come."""

    name: str
    id: object
    signature: str | None
    args: PartialArgs = field(default_factory=PartialArgs)

    def add(self, call: dict[str, Any]) -> None:
        if isinstance(whole := call.get("args"), dict):
            self.args.value.update(whole)
        self.args.add(call.get("partialArgs"))


class Calls:
    """The calls of one choice; true once there is one."""

    __slots__ = ("_ids", "_index", "_open", "_rules", "first_id")

    def __init__(self, index: int, rules: CallRules) -> None:
        self._index = index
        self._rules = rules
        self._ids: set[str] = set()
        self._open: _Open | None = None
        self.first_id = ""

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def count(self) -> int:
        """How many calls have begun."""
        return len(self._ids) + (self._open is not None)

    def feed(self, call: dict[str, Any], signature: str | None) -> list[ToolCallDelta]:
        """Return the calls that one ``functionCall`` part makes whole: usually itself."""
        done: list[ToolCallDelta] = []
        name = call.get("name")
        if isinstance(name, str) and name:
            done = self.close()
            self._open = _Open(name, call.get("id"), signature)
        if self._open is None:
            return done
        self._open.add(call)
        return done if call.get("willContinue") is True else done + self.close()

    def close(self) -> list[ToolCallDelta]:
        """Return the call whose arguments were still coming, if there is one: no more will come."""
        call, self._open = self._open, None
        if call is None or (self._ids and not self._rules.parallel):
            return []
        order, call_id = len(self._ids), self._id(call.id)
        name = self._rules.names.get(call.name, call.name)
        arguments = orjson.dumps(call.args.value).decode()
        return [ToolCallDelta(call_id, name, arguments, order, self._index, call.signature)]

    def _id(self, given: object) -> str:
        # Older models give no id, and nothing says that Google's are unique.
        call_id = given if isinstance(given, str) and given.isprintable() else ""
        if not 0 < len(call_id) <= _LONGEST_ID or call_id in self._ids or self._is_taken(call_id):
            call_id = f"call_{uuid.uuid4().hex[:24]}"
        self._ids.add(call_id)
        self.first_id = self.first_id or call_id
        return call_id

    def _is_taken(self, call_id: str) -> bool:
        return self._rules.taken is not None and self._rules.taken(call_id)
