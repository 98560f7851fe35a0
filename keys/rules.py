"""What an upstream answer means for the key and for the request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt, or a whole request, ended."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate_limited"
    KEY_REJECTED = "key_rejected"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    LOCATION = "location"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    CUT = "cut"
    LOST_RACE = "lost_race"
    CANCELLED = "cancelled"
    NO_KEY = "no_key"
    REFUSED = "refused"


class ParkReason(StrEnum):
    """Why a key rests. The values are those of keys.models.Park.Reason."""

    PER_DAY = "per_day"
    PER_MINUTE = "per_minute"
    RESTING = "resting"
    NOT_OFFERED = "not_offered"


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a key should rest after an answer.

    ``until`` is None for an answer that named no time: the pool then rests the key 5 s, doubling up to
    10 minutes while it goes on. ``whole_key`` rests it for every model.
    """

    reason: ParkReason
    until: datetime | None
    quota_id: str = ""
    whole_key: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one upstream error means.

    ``message`` is Google's own, in one line, cut to 300 characters, every key-shaped text masked.
    ``rest`` asks for a park, ``disable`` (a sentence) takes the key out. Both None: the key is not to blame.
    """

    outcome: Outcome
    status: int
    message: str
    rest: Rest | None = None
    disable: str | None = None
    quota_id: str = ""
