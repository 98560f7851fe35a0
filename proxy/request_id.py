"""Request ids: a number that sorts by time, and the text people quote. Pure."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Final

EPOCH_MS: Final = 1_735_689_600_000  # 2025-01-01; 41 bits of milliseconds last until 2094.
LOW_BITS: Final = 22
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: nothing that people misread.
LENGTH: Final = 13
_QUOTED: Final = re.compile(r"req_([0-9a-z]{13})(?![0-9a-z])")

# The request that this task serves, for what it logs; 0: none.
current: ContextVar[int] = ContextVar("request_id", default=0)

# Within a process ids never repeat; two processes differ by the random start.
_low = count(secrets.randbits(LOW_BITS))


def new(now: float) -> int:
    """Return a fresh id (63 bits) for a request that came at ``now`` (seconds since 1970)."""
    return (int(now * 1000) - EPOCH_MS) << LOW_BITS | next(_low) & (1 << LOW_BITS) - 1


def first(moment: float) -> int:
    """Return the least id that a request of ``moment`` (seconds since 1970) or later can have."""
    return max(int(moment * 1000) - EPOCH_MS, 0) << LOW_BITS


def moment(number: int) -> datetime:
    """Return when the request with this id came."""
    return datetime.fromtimestamp(((number >> LOW_BITS) + EPOCH_MS) / 1000, UTC)


def shown(number: int) -> str:
    """Return the text form, e.g. ``req_0a1b2c3d4e5f6``."""
    letters = [ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5)]
    return "req_" + "".join(letters)


def parse(text: str) -> int | None:
    """Return the number behind a quoted id, or None when it is none of ours.

    It may stand in a text, such as the sentence of a refusal.
    """
    lowered = text.strip().lower()
    quoted = _QUOTED.search(lowered)
    letters = quoted[1] if quoted else lowered.removeprefix("req_")
    if len(letters) != LENGTH or any(letter not in ALPHABET for letter in letters):
        return None
    number = 0
    for letter in letters:
        number = number << 5 | ALPHABET.index(letter)
    return number if number < 1 << 63 else None
