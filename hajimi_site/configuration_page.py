"""Writes the tables of docs/configuration.md and its Chinese edition from the variables themselves (`make docs`)."""

from __future__ import annotations

import gettext
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from hajimi_site import former
from hajimi_site.environment import VARIABLES, Variable
from hajimi_site.kinds import YES_NO
from proxy.behaviour import Behaviour

LOCALE: Final = Path(__file__).resolve().parent.parent / "locale"
CHINESE: Final = ".zh-CN"
_BEHAVIOUR: Final = frozenset(field.name.upper() for field in fields(Behaviour))

Translate = Callable[[str], str]


def _(text: str) -> str:
    """Mark a text for translation; it is translated where a page is written."""
    return text


_HEAD: Final = (_("Variable"), _("Default"), _("Allowed"), _("What it does"))
_RENAMED_HEAD: Final = (_("There"), _("Here"))
_UNUSED_HEAD: Final = (_("Name"), _("Why it has no effect"))
_UNSET: Final = _("unset")
_OR: Final = _("or")
_YES_NO: Final = _("`true` or `false`")
# What a number's kind says, and how that is said in a form that can be translated.
_NUMBERS: Final = (
    (r"a whole number, (\S+) to (\S+)", _("a whole number, %s to %s")),
    (r"a whole number, (\S+) or more", _("a whole number, %s or more")),
    (r"a number, (\S+) to (\S+)", _("a number, %s to %s")),
    (r"a number, (\S+) or more", _("a number, %s or more")),
)


def pages(path: Path) -> tuple[tuple[Path, Translate], ...]:
    """Return the page and its Chinese edition, each with what translates its tables."""
    chinese = gettext.translation("django", LOCALE, languages=["zh_Hans"]).gettext
    return (path, str), (path.with_name(f"{path.stem}{CHINESE}{path.suffix}"), chinese)


def written(page: str, translate: Translate = str) -> str:
    """Return ``page`` with every block between <!-- NAME --> and <!-- end --> made anew."""
    return re.sub(
        r"<!-- ([a-z]+) -->\n.*?<!-- end -->",
        lambda block: f"<!-- {block[1]} -->\n{_BLOCKS[block[1]](translate)}<!-- end -->",
        page,
        flags=re.DOTALL,
    )


def _behaviour(translate: Translate) -> str:
    return _variables((variable for variable in VARIABLES if variable.name in _BEHAVIOUR), translate)


def _start(translate: Translate) -> str:
    chosen = (variable for variable in VARIABLES if variable.name not in _BEHAVIOUR)
    return _variables(chosen, translate)


def _renamed(translate: Translate) -> str:
    rows = ((f"`{old}`", f"`{variable.name}`") for variable in VARIABLES for old in variable.old_names)
    return _table(map(translate, _RENAMED_HEAD), rows)


def _unused(translate: Translate) -> str:
    rows = ((f"`{name}`", _sentence(translate(why))) for name, why in former.UNUSED.items())
    return _table(map(translate, _UNUSED_HEAD), rows)


_BLOCKS: Final = {
    "behaviour": _behaviour,
    "start": _start,
    "renamed": _renamed,
    "unused": _unused,
}


def _variables(variables: Iterable[Variable], translate: Translate) -> str:
    rows = (
        (f"`{variable.name}`", _default(variable, translate), _allowed(variable, translate), translate(variable.help))
        for variable in variables
    )
    return _table(map(translate, _HEAD), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return f"{text}." if text.isascii() else f"{text}。"


def _allowed(variable: Variable, translate: Translate) -> str:
    if variable.kind is YES_NO:
        return translate(_YES_NO)
    for pattern, form in _NUMBERS:
        if found := re.fullmatch(pattern, variable.kind.allowed):
            return translate(form) % found.groups()
    if re.fullmatch(r"[\w-]+( or [\w-]+)+", variable.kind.allowed):
        return variable.kind.allowed.replace(" or ", f" {translate(_OR)} ")
    return translate(variable.kind.allowed)


def _default(variable: Variable, translate: Translate) -> str:
    match variable.default:
        case None | "" | ():
            return translate(_UNSET)
        case bool() as choice:
            return f"`{str(choice).lower()}`"
        case float() as number:
            return f"`{number:g}`"
        case other:
            return f"`{other}`"


if __name__ == "__main__":
    for path, translate in pages(Path(sys.argv[1])):
        path.write_text(written(path.read_text(encoding="utf-8"), translate), encoding="utf-8")
