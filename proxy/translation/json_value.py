"""Free-form JSON of a client's (schemas, arguments, results): whether it can be sent on at all. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

from proxy.translation import reading
from proxy.translation.invalid import Invalid, _

# Google reads JSON into messages that may be nested a hundred times.
MOST_LEVELS: Final = 100
_LEAST_INT: Final = -(2**63)
_MOST_INT: Final = 2**64 - 1


def checked(value: Any, param: str) -> Any:
    """Return ``value`` itself; Invalid when it is nested too deep or holds what JSON on the wire can not carry."""
    waiting = [(value, 1)]
    while waiting:
        each, level = waiting.pop()
        if level > MOST_LEVELS:
            raise Invalid.at(
                param, _("%(param)s is nested too deep; %(levels)s levels are allowed."), levels=MOST_LEVELS
            )
        if isinstance(each, dict):
            for key in each:
                reading.text(key, param)
            waiting.extend((inner, level + 1) for inner in each.values())
        elif isinstance(each, list):
            waiting.extend((inner, level + 1) for inner in each)
        else:
            _check_scalar(each, param)
    return value


def fits(value: Any) -> bool:
    """Return whether ``checked`` would let ``value`` through."""
    try:
        checked(value, "")
    except Invalid:
        return False
    return True


def _check_scalar(value: Any, param: str) -> None:
    if isinstance(value, str):
        reading.text(value, param)
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and not _LEAST_INT <= value <= _MOST_INT
    ):
        raise Invalid.at(param, _("%(param)s holds a number that is too big."))
