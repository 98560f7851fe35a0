"""What the tests of the endpoints beside chat share: a reader's answer to anything, and Google's to what we send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from proxy.translation.invalid import Invalid
from tests.shared import SHARED

T = TypeVar("T")


def wish_of(read: Callable[[], T]) -> T | None:
    """Return what is read, or None when it is refused in a way that can be sent, with a place of ours."""
    try:
        return read()
    except Invalid as error:
        refused = error
    assert str(refused).encode()
    assert refused.param is None or refused.param.isascii()
    return None


def recorded(name: str) -> Any:
    """Return the document of a recorded answer; callers are marked ``needs_shared``."""
    assert SHARED is not None
    return json.loads((SHARED / "gemini/recordings" / f"{name}.json").read_text())["response"]["body"]


def names_of(*endpoints: str, model: str) -> list[str]:
    """Return the names of the recordings of these endpoints that went well, of models with ``model`` in their names."""
    if SHARED is None:
        return []
    rows = json.loads((SHARED / "gemini/recordings/index.json").read_text())
    fitting = (row for row in rows if row["endpoint"] in endpoints and model in (row["model"] or ""))
    return [row["name"] for row in fitting if row["status"] == 200]
