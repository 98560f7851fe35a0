"""A function call's arguments, put together from the pieces that Vertex streams. Pure."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

# $.recipe.steps[0] or $['odd name'].x, as in RFC 9535.
_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,5})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPED: Final = re.compile(r"\\(.)")
_DEEPEST: Final = 64
_LONGEST_LIST: Final = 10_000
_VALUES: Final = ("stringValue", "numberValue", "boolValue")

Step = str | int


class PartialArgs:
    """Takes ``partialArgs`` as they come; ``value`` is the object so far. Odd pieces are passed over."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def add(self, pieces: object) -> None:
        """Put each piece in its place; text goes on where text stands already."""
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and (steps := _steps(piece.get("jsonPath"))):
                self._put(steps, piece)

    def _put(self, steps: list[Step], piece: dict[str, Any]) -> None:
        here: Any = self.value
        for step, following in pairwise(steps):
            child, kind = _get(here, step), list if isinstance(following, int) else dict
            if not isinstance(child, kind):
                child = kind()
                _set(here, step, child)
            here = child
        value = next((piece[name] for name in _VALUES if name in piece), None)
        before = _get(here, steps[-1])
        _set(here, steps[-1], before + value if isinstance(before, str) and isinstance(value, str) else value)


def _steps(path: object) -> list[Step]:
    """Return the steps of a path below the arguments' object, [] for a path that is none."""
    if not isinstance(path, str) or not path.startswith("$"):
        return []
    steps: list[Step] = []
    place = 1
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None or len(steps) == _DEEPEST:
            return []
        steps.append(_step(step))
        place = step.end()
    return [] if any(isinstance(step, int) and step >= _LONGEST_LIST for step in steps) or not _named(steps) else steps


def _named(steps: list[Step]) -> bool:
    return bool(steps) and isinstance(steps[0], str)


def _step(found: re.Match[str]) -> Step:
    plain, number, *quoted = found.groups()
    if number is not None:
        return int(number)
    return plain if plain is not None else _ESCAPED.sub(r"\1", next(text for text in quoted if text is not None))


def _get(here: Any, step: Step) -> Any:
    if isinstance(step, int):
        return here[step] if step < len(here) else None
    return here.get(step)


def _set(here: Any, step: Step, value: object) -> None:
    if isinstance(step, int):
        here.extend([None] * (step + 1 - len(here)))
    here[step] = value
