"""Two admins at one form: what each changed comes together, and what both changed is told. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Drawn:
    """What stood in a form when it was drawn: the values by field, and the number of the last line of the history."""

    values: Mapping[str, Any]
    line: int

    def written(self) -> str:
        """Return it as the form carries it."""
        return json.dumps({"values": self.values, "line": self.line})


def read(text: str) -> Drawn | None:
    """Return what a form carried; None when it carried nothing, or nothing of ours."""
    try:
        document = json.loads(text)
        return Drawn(dict(document["values"]), int(document["line"]))
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Merged:
    """``kept``: fields that others changed and this form did not; ``clashing``: those that both changed differently."""

    kept: Collection[str] = ()
    clashing: Collection[str] = ()


def merge(drawn: Mapping[str, Any], now: Mapping[str, Any], differs: Callable[[str, Any], bool]) -> Merged:
    """Tell what to do with the fields that moved since the form was drawn.

    ``differs`` tells whether what was typed into a field differs from a value.
    """
    moved = [name for name, value in now.items() if name in drawn and drawn[name] != value]
    touched = [name for name in moved if differs(name, drawn[name])]
    clashing = [name for name in touched if differs(name, now[name])]
    return Merged([name for name in moved if name not in touched], clashing)
