"""The one refusal of the request side: what is wrong with the client's request, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SHOWN_CHARACTERS: Final = 60


def _(text: str) -> str:
    """Mark a sentence for translation; it is translated where it is shown."""
    return text


class Term:
    """A word of ours inside a sentence: not a string, so that it is never taken for a client's."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Invalid(ValueError):
    """The request can not be served as it is.

    ``template`` is English with %(name)s places, ``values`` fill it (strings among them quote the client;
    numbers and ``Term`` are ours), ``param`` names the place in the request (``messages[3].content[1].image_url``).
    """

    def __init__(
        self,
        template: str,
        values: Mapping[str, object] | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        self.template = template
        self.values = dict(values or {})
        self.param = param
        self.code = code
        super().__init__(template % self.values if self.values else template)

    @classmethod
    def at(cls, place: str, template: str, **values: object) -> Invalid:
        """Return a refusal of one field, which ``template`` names by %(param)s."""
        return cls(template, {"param": Term(place), **values}, param=place)


def shown(value: Any) -> str:
    """Return a client's text short and printable enough to be quoted in a sentence; other types by their name."""
    if not isinstance(value, str):
        return type(value).__name__
    text = value[: _SHOWN_CHARACTERS + 1].encode("utf-8", "replace").decode("utf-8")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
