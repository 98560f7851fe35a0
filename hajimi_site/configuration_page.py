"""Writes the tables of docs/configuration.md from the variables themselves (`make docs`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from hajimi_site import former
from hajimi_site.environment import VARIABLES, Variable
from hajimi_site.kinds import YES_NO
from proxy.behaviour import Behaviour

_BEHAVIOUR: Final = frozenset(field.name.upper() for field in fields(Behaviour))
_HEAD: Final = "| Variable | Default | Allowed | What it does |\n|---|---|---|---|\n"


def written(page: str) -> str:
    """Return ``page`` with every block between <!-- NAME --> and <!-- end --> made anew."""
    return re.sub(
        r"<!-- ([a-z]+) -->\n.*?<!-- end -->",
        lambda block: f"<!-- {block[1]} -->\n{_BLOCKS[block[1]]()}<!-- end -->",
        page,
        flags=re.DOTALL,
    )


def _behaviour() -> str:
    return _table(variable for variable in VARIABLES if variable.name in _BEHAVIOUR)


def _start() -> str:
    return _table(variable for variable in VARIABLES if variable.name not in _BEHAVIOUR and not variable.later)


def _later() -> str:
    return _table(variable for variable in VARIABLES if variable.later)


def _renamed() -> str:
    rows = (f"| `{old}` | `{variable.name}` |\n" for variable in VARIABLES for old in variable.old_names)
    return "| There | Here |\n|---|---|\n" + "".join(rows)


def _unused() -> str:
    rows = (f"| `{name}` | {why[0].upper()}{why[1:]}. |\n" for name, why in former.UNUSED.items())
    return "| Name | Why it has no effect |\n|---|---|\n" + "".join(rows)


_BLOCKS: Final = {
    "behaviour": _behaviour,
    "start": _start,
    "later": _later,
    "renamed": _renamed,
    "unused": _unused,
}


def _table(variables: Iterable[Variable]) -> str:
    return _HEAD + "".join(
        f"| `{variable.name}` | {_default(variable)} | {_allowed(variable)} | {variable.help} |\n"
        for variable in variables
    )


def _allowed(variable: Variable) -> str:
    return "`true` or `false`" if variable.kind is YES_NO else variable.kind.allowed


def _default(variable: Variable) -> str:
    match variable.default:
        case None | "" | ():
            return "unset"
        case bool() as choice:
            return f"`{str(choice).lower()}`"
        case float() as number:
            return f"`{number:g}`"
        case other:
            return f"`{other}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
