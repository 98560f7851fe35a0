"""A plain table of addresses: pattern -> method -> view."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from django.http.response import HttpResponseBase

View = Callable[..., Awaitable[HttpResponseBase]]
Views = Mapping[str, View]
Routes = Mapping[str, Views]

_PLACE: Final = re.compile(r"\{(\w+)\}")


class Table:
    """Finds the views of an address.

    Patterns are normalised paths (proxy.paths); ``{name}`` stands for one or more characters, the last one of a
    pattern without colons. What it stands for is given to the view as an argument. Earlier patterns win.
    """

    def __init__(self, routes: Routes) -> None:
        self._exact = {pattern: views for pattern, views in routes.items() if "{" not in pattern}
        self._patterns = [(_compiled(pattern), views) for pattern, views in routes.items() if "{" in pattern]

    def find(self, path: str) -> tuple[Views, dict[str, Any]] | None:
        """Return the views at ``path`` by method, and the arguments in it; None when there is nothing."""
        if views := self._exact.get(path):
            return views, {}
        for pattern, views in self._patterns:
            if match := pattern.fullmatch(path):
                return views, match.groupdict()
        return None


def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = _PLACE.split(pattern)
    text = "".join(re.escape(piece) if number % 2 == 0 else f"(?P<{piece}>.+)" for number, piece in enumerate(pieces))
    # A verb follows the last colon: a model's name may hold one, a verb does not.
    return re.compile(re.sub(r"\(\?P<(\w+)>\.\+\)$", r"(?P<\1>[^:]+)", text))
