"""Reading one value of a JSON document, strictly: None when unset, Invalid naming the place when wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.translation.invalid import Invalid, Term, _, shown

Document = Mapping[str, Any]


def text(value: Any, param: str) -> str:
    """Return a string that can be sent on: one without half a surrogate pair, which UTF-8 can not carry."""
    if not isinstance(value, str):
        raise Invalid.at(param, _("%(param)s must be a string."))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Invalid.at(param, _("%(param)s holds a broken character.")) from None
    return value


def optional_text(value: Any, param: str) -> str | None:
    """Return a string, or None when it is unset."""
    return None if value is None else text(value, param)


def flag(value: Any, param: str, default: bool = False) -> bool:
    """Return a boolean; numbers and words are refused."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Invalid.at(param, _("%(param)s must be true or false."))
    return value


def number(value: Any, param: str, least: float, most: float) -> float | None:
    """Return a number within ``least``..``most``, both allowed."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid.at(param, _("%(param)s must be a number."))
    # Written so that NaN, which compares false to everything, is refused as well.
    if not least <= value <= most:
        raise Invalid.at(
            param,
            _("%(param)s must be between %(least)s and %(most)s."),
            least=Term(f"{least:g}"),
            most=Term(f"{most:g}"),
        )
    return value


def whole(value: Any, param: str, least: int, most: int | None = None) -> int | None:
    """Return a whole number of at least ``least`` and at most ``most`` (None: no upper end); 300.0 counts as 300."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid.at(param, _("%(param)s must be a whole number."))
    if value < least or (most is not None and value > most):
        raise _out_of_range(param, least, most)
    return value


def _out_of_range(param: str, least: int, most: int | None) -> Invalid:
    if most is None:
        return Invalid.at(param, _("%(param)s must be at least %(least)s."), least=least)
    return Invalid.at(param, _("%(param)s must be between %(least)s and %(most)s."), least=least, most=most)


def mapping(value: Any, param: str) -> Document:
    """Return a JSON object; an unset one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid.at(param, _("%(param)s must be an object."))
    return value


def items(value: Any, param: str) -> list[Any]:
    """Return a JSON list; an unset one is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid.at(param, _("%(param)s must be a list."))
    return value


def one_of(value: Any, param: str, words: tuple[str, ...]) -> str | None:
    """Return one of ``words``, or None when it is unset; letter case does not matter."""
    if value is None:
        return None
    word = text(value, param).strip().lower()
    if word not in words:
        raise Invalid.at(
            param,
            _('%(param)s must be one of %(words)s, not "%(value)s".'),
            words=Term(", ".join(words)),
            value=shown(value),
        )
    return word
