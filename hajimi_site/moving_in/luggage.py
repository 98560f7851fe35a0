"""What somebody brings along, whichever proxy it comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Secret:
    """A key, or the text of service accounts. ``place`` tells people where it stood, ``number`` its place there."""

    text: str = field(repr=False)
    disabled: bool = False
    place: str = ""
    number: int = 1


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody with a password, who becomes a member.

    ``closed`` is why the password no longer opened there, "" when it did. ``allowed_models`` () means all.
    """

    name: str
    password: str = field(repr=False)
    closed: str = ""
    expires_at: datetime | None = None
    allowed_models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Luggage:
    """What was found. ``settings`` are texts by the name of a variable here.

    ``left`` are sentences about what has no place here, ``unknown`` names of settings that mean nothing here.
    """

    keys: tuple[Secret, ...] = ()
    express_keys: tuple[Secret, ...] = ()
    accounts: tuple[Secret, ...] = ()
    guests: tuple[Guest, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class Unreadable(Exception):
    """A file is not what it was said to be; the message says why, in one sentence."""


def some(names: list[str], most: int = 10) -> str:
    """Return names for a sentence: the first ones, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
