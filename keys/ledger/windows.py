"""What the ledger counts in: windows with a limit and an end, and the names all rooms use for them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from keys.places import place_of

MINUTE: Final = 60.0
PACIFIC: Final = ZoneInfo("America/Los_Angeles")
# A value of keys.models.Key.Kind.
AI_STUDIO: Final = "ai_studio"

# Midnights of every zone in use fall on quarters of an hour, so a day can be looked up by its quarter.
_QUARTER: Final = 900


@dataclass(frozen=True, slots=True)
class Window:
    """A counter with a limit and an end.

    ``ends_at`` is in seconds since the epoch, and the name of such a window carries its day.
    None: the window runs 60 s from the first take. ``limit`` 0 allows nothing.
    """

    name: str
    limit: int
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class Take:
    """What one request wants of a window. Amount 0 takes nothing: it is refused when the window is used up."""

    window: Window
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """The window that had no room, and when it begins anew (seconds since the epoch)."""

    window: Window
    resets_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a window is used, and when it begins anew (seconds since the epoch; now, if it has not begun)."""

    used: int
    resets_at: float


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of some takes: ``refusal`` is None when they were granted; then how each window stands."""

    refusal: Refusal | None
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Slots:
    """How many requests of one member may run at once; each of them holds a slot until it leaves."""

    name: str
    limit: int


# A slot whose process died without leaving comes free after this many seconds; living processes keep theirs.
SLOT_SECONDS: Final = 60.0


def has_room(used: int, take: Take) -> bool:
    """Tell whether a window of which ``used`` is gone grants ``take``."""
    if take.amount == 0:
        return used < take.window.limit
    return used + take.amount <= take.window.limit


def next_midnight(now: float, zone: tzinfo) -> float:
    """Return the moment the next day begins in ``zone``, summer time included (seconds since the epoch)."""
    return _day(int(now // _QUARTER), zone)[1]


def day(now: float, zone: tzinfo) -> str:
    """Return the day of ``now`` in ``zone`` as YYYY-MM-DD."""
    return _day(int(now // _QUARTER), zone)[0]


@lru_cache(maxsize=256)
def _day(quarter: int, zone: tzinfo) -> tuple[str, float]:
    today = datetime.fromtimestamp(quarter * _QUARTER, zone).date()
    return today.isoformat(), datetime.combine(today + timedelta(days=1), time(), zone).timestamp()


def member_minute(member_id: int, limit: int) -> Window:
    """Return the window of a member's requests in a minute."""
    return Window(f"member:{member_id}:minute", limit, None)


def member_day(member_id: int, limit: int, now: float, zone: tzinfo) -> Window:
    """Return the window of a member's requests on the day of ``zone``."""
    return _of_day(f"member:{member_id}:day", limit, now, zone)


def member_tokens(member_id: int, limit: int, now: float, zone: tzinfo) -> Window:
    """Return the window of a member's tokens on the day of ``zone``."""
    return _of_day(f"member:{member_id}:tokens", limit, now, zone)


def model_minute(member_id: int, pattern: str, limit: int) -> Window:
    """Return the window of a member's requests in a minute for the models that ``pattern`` covers."""
    return Window(f"member:{member_id}:model-minute:{pattern}", limit, None)


def model_day(member_id: int, pattern: str, limit: int, now: float, zone: tzinfo) -> Window:
    """Return the window of a member's requests on the day of ``zone`` for the models that ``pattern`` covers."""
    return _of_day(f"member:{member_id}:model-day:{pattern}", limit, now, zone)


def model_tokens(member_id: int, pattern: str, limit: int, now: float, zone: tzinfo) -> Window:
    """Return the window of a member's tokens on the day of ``zone`` for the models that ``pattern`` covers."""
    return _of_day(f"member:{member_id}:model-tokens:{pattern}", limit, now, zone)


def member_slots(member_id: int, limit: int) -> Slots:
    """Return the slots of a member's requests that run at once."""
    return Slots(f"member:{member_id}:slots", limit)


def address_day(address: str, limit: int, now: float, zone: tzinfo) -> Window:
    """Return the window of an address's requests on the day of ``zone``; one for all addresses of a place."""
    return _of_day(f"address:{place_of(address)}:day", limit, now, zone)


def key_limit(kind: str, own: int | None, default: int) -> int:
    """Return how many requests a key of this kind (keys.models.Key.Kind) has in a day; 0 is no limit.

    ``own`` is the key's own limit, None when it has none. ``default`` is API_KEY_DAILY_LIMIT, which is there for the
    short days of free keys of AI Studio: who uses Vertex AI pays for each request, or has another quota.
    """
    if own is not None:
        return own
    return default if kind == AI_STUDIO else 0


def key_day(key_id: int, limit: int, now: float) -> Window:
    """Return the window of a key's requests on Google's day (Pacific time)."""
    return _of_day(f"key:{key_id}:day", limit, now, PACIFIC)


def kind_of(name: str) -> str:
    """Return the kind of limit that a window or slots of this name are: member_minute, address_day ..."""
    whose, _, rest = name.partition(":")
    # An address may hold colons itself; it and a key have one window only.
    return f"{whose}_{rest.split(':')[1].replace('-', '_')}" if whose == "member" else f"{whose}_day"


def _of_day(name: str, limit: int, now: float, zone: tzinfo) -> Window:
    today, ends_at = _day(int(now // _QUARTER), zone)
    return Window(f"{name}:{today}", limit, ends_at)
