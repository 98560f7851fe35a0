"""What a Hugging Face Space is told at the start: its disk is gone with every restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHERE = "Settings, Variables and secrets, New secret"


def advice(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for each thing that this Space will lose at its next restart, by the variables' values."""
    found = []
    if not values["SECRET_KEY"]:
        found.append(
            "SECRET_KEY is unset, so this Space makes a new one at each start: sign-ins end, and what was stored "
            f"elsewhere cannot be read again. Set it to a long random text ({_WHERE})."
        )
    if not values["ADMIN_PASSWORD"]:
        found.append(
            "ADMIN_PASSWORD is unset, so this Space makes a new one at each start, unless DATABASE_URL or BACKUP_DIR "
            f"keeps the admin account. Set it ({_WHERE})."
        )
    if not values["GEMINI_API_KEYS"]:
        found.append(
            "GEMINI_API_KEYS is unset. Keys added in the admin are gone when this Space restarts, unless DATABASE_URL "
            f"or BACKUP_DIR keeps them. Set it ({_WHERE})."
        )
    return tuple(found)
