"""What somebody brings along, whichever proxy it comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody with a password, who becomes a member. ``allowed_models`` () means all."""

    name: str
    password: str = field(repr=False)
    enabled: bool = True
    expires_at: datetime | None = None
    allowed_models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Luggage:
    """What was found. ``settings`` are texts by the name of a variable here; ``left`` says what has no place here."""

    keys: tuple[str, ...] = field(default=(), repr=False)
    express_keys: tuple[str, ...] = field(default=(), repr=False)
    accounts: str = field(default="", repr=False)
    guests: tuple[Guest, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


class Unreadable(Exception):
    """A file is not what it was said to be; the message says why, in one sentence."""
