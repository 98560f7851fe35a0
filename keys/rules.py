"""What an upstream answer means for the key and for the request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import orjson

from keys.ledger.windows import PACIFIC, next_midnight
from keys.redacting import redact


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


# Google said no, or never heard of it: a key's day count does not move.
UNSERVED: Final = frozenset(
    {
        Outcome.RATE_LIMITED,
        Outcome.KEY_REJECTED,
        Outcome.NOT_FOUND,
        Outcome.BAD_REQUEST,
        Outcome.LOCATION,
        Outcome.UNAVAILABLE,
    }
)


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
    10 minutes while it goes on. ``whole_key`` rests it for every model. ``per_day`` is how many requests Google's day
    quota grants, where the answer named that number; else 0.
    """

    reason: ParkReason
    until: datetime | None
    quota_id: str = ""
    whole_key: bool = False
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one upstream error means.

    ``message`` is Google's own, in one line, cut to 300 characters, every secret masked.
    ``rest`` asks for a park, ``disable`` (a sentence) takes the key out. Both None: the key is not to blame.
    """

    outcome: Outcome
    status: int
    message: str
    rest: Rest | None = None
    disable: str | None = None
    quota_id: str = ""


MESSAGE_LIMIT: Final = 300
QUOTA_ID_LIMIT: Final = 160
NOT_OFFERED_FOR: Final = timedelta(hours=24)
DEFAULT_DELAY: Final = timedelta(seconds=60)
LEAST_DELAY: Final = timedelta(seconds=1)
MOST_DELAY: Final = timedelta(hours=1)

# ErrorInfo reasons that say this credential will not work until a person does something.
DEAD_REASONS: Final = frozenset(
    {
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "ACCOUNT_STATE_INVALID",
        "API_KEY_ANDROID_APP_BLOCKED",
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "API_KEY_INVALID",
        "API_KEY_IOS_APP_BLOCKED",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "API_KEY_SERVICE_BLOCKED",
        "BILLING_DISABLED",
        "CONSUMER_INVALID",
        "CONSUMER_SUSPENDED",
        "CREDENTIALS_MISSING",
        "SERVICE_DISABLED",
        "USER_PROJECT_DENIED",
    }
)
# The same, where Google sends no reason, only a sentence.
_DEAD_WORDS: Final = re.compile(
    r"api key (not valid|expired|not found)|reported as leaked|has been suspended|has been denied access"
    r"|has not been used in project",
    re.IGNORECASE,
)
_LOCATION_WORDS: Final = re.compile(r"location is not supported|not available in your (country|region)", re.IGNORECASE)
# A 404 or 403 that is about something the request names: no other model, and no key, is to blame.
_NAMED_BY_REQUEST: Final = re.compile(r"\bfiles?\b|cached ?content|requested entity", re.IGNORECASE)
_ZERO_LIMIT: Final = re.compile(r"\blimit: 0(?![\d.])")
_LIMIT: Final = re.compile(r"\blimit: ([0-9]{1,9})(?![\d.])")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_RETRY_IN: Final = re.compile(r"retry in (\d{1,9}(?:\.\d{1,9})?)(ms|s)\b", re.IGNORECASE)
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_GROUNDING: Final = re.compile(r"ground|search", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")


def judge(status: int, body: bytes, now: datetime) -> Verdict:
    """Say what a non-200 answer means for the key and for the request.

    ``body`` may be anything: Google's JSON, that in a one-element array, HTML, nothing. ``now`` is aware.
    """
    error = _Error.read(status, body)
    # A page is never the API's own answer: something between us and it failed, or blocks this address.
    if body.lstrip()[:1] == b"<" and status != 413:
        return error.verdict(Outcome.UNAVAILABLE)
    if error.reason in DEAD_REASONS or (status in (400, 403) and _DEAD_WORDS.search(error.message)):
        return error.verdict(Outcome.KEY_REJECTED, disable=error.shown)
    if status in (400, 403) and _LOCATION_WORDS.search(error.message):
        return error.verdict(Outcome.LOCATION)
    return _by_status(error, now)


def _by_status(error: _Error, now: datetime) -> Verdict:
    named_by_request = bool(_NAMED_BY_REQUEST.search(error.message))
    match error.status:
        case 401:
            return error.verdict(Outcome.KEY_REJECTED, disable=error.shown)
        case 403:
            # Nothing says that the key is dead: growing pauses for this model, and a success clears them.
            rest = None if named_by_request else Rest(ParkReason.RESTING, None)
            return error.verdict(Outcome.KEY_REJECTED, rest=rest)
        case 404:
            rest = None if named_by_request else Rest(ParkReason.NOT_OFFERED, now + NOT_OFFERED_FOR)
            return error.verdict(Outcome.NOT_FOUND, rest=rest)
        case 429:
            return _rate_limited(error, now)
        case 408 | 409 | 499:
            return error.verdict(Outcome.UNAVAILABLE)
        case status if 400 <= status < 500:
            return error.verdict(Outcome.BAD_REQUEST)
    return error.verdict(Outcome.UNAVAILABLE)


def next_pacific_midnight(now: datetime) -> datetime:
    """Return the moment Google's day quotas begin anew after ``now`` (aware, UTC)."""
    return datetime.fromtimestamp(next_midnight(now.timestamp(), PACIFIC), UTC)


@dataclass(frozen=True, slots=True)
class _Error:
    """Google's error object, as far as it could be read; its message in one line."""

    status: int
    message: str
    details: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, status: int, body: bytes) -> _Error:
        error = _error_object(body)
        if error is None:
            return cls(status, "", ())
        details = error.get("details")
        message = error.get("message")
        return cls(
            status,
            _SPACES.sub(" ", message).strip() if isinstance(message, str) else "",
            tuple(item for item in details if isinstance(item, dict)) if isinstance(details, list) else (),
        )

    @property
    def shown(self) -> str:
        """The message as people may see it: masked, cut."""
        return redact(self.message)[:MESSAGE_LIMIT] or f"HTTP {self.status}"

    @property
    def reason(self) -> str:
        """The reason of its ErrorInfo, or nothing."""
        return next((_text(info, "reason") for info in self.of_type("ErrorInfo")), "")

    def of_type(self, name: str) -> Iterator[dict[str, Any]]:
        """Go through the details of one google.rpc type."""
        return (item for item in self.details if _text(item, "@type").endswith(f".{name}"))

    def verdict(self, outcome: Outcome, rest: Rest | None = None, disable: str | None = None) -> Verdict:
        """Make the verdict, with this error's message."""
        quota_id = rest.quota_id if rest else ""
        return Verdict(outcome, self.status, self.shown, rest, disable, quota_id)


@dataclass(frozen=True, slots=True)
class _Quota:
    """One violated quota: its id ("…PerDayPerProjectPerModel-FreeTier"), and its limit where Google told it."""

    id: str
    metric: str
    model: str
    limit: str

    @property
    def whole_key(self) -> bool:
        """True when the quota counts all models together; a search quota says nothing of plain requests."""
        return not (self.model or "PerModel" in self.id or _GROUNDING.search(self.id + self.metric))

    @property
    def _per_day(self) -> int:
        """How many requests a day it grants; 0 when it counts something else or tells no number."""
        if "Request" not in self.id or not _WHOLE.fullmatch(self.limit):
            return 0
        return int(self.limit)

    def rest(self, delay: timedelta, now: datetime) -> Rest:
        """Return the rest that this quota asks for."""
        if self.limit == "0" and not self.whole_key:
            return Rest(ParkReason.NOT_OFFERED, now + NOT_OFFERED_FOR, self.id)
        if "PerDay" in self.id:
            return Rest(ParkReason.PER_DAY, next_pacific_midnight(now), self.id, self.whole_key, self._per_day)
        return Rest(ParkReason.PER_MINUTE, now + delay, self.id, self.whole_key)


def _error_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else None


def _rate_limited(error: _Error, now: datetime) -> Verdict:
    delay = _delay(error)
    rests = [quota.rest(delay or DEFAULT_DELAY, now) for quota in _quotas(error)]
    if not rests and _ZERO_LIMIT.search(error.message):
        rests = [Rest(ParkReason.NOT_OFFERED, now + NOT_OFFERED_FOR)]
    if not rests and delay:
        rests = [Rest(ParkReason.PER_MINUTE, now + delay)]
    rest = max(rests, key=_weight, default=Rest(ParkReason.RESTING, None))
    return error.verdict(Outcome.RATE_LIMITED, rest=rest)


def _weight(rest: Rest) -> tuple[bool, datetime]:
    """The longest rest wins; a model that is not offered stays so over midnight."""
    assert rest.until is not None  # noqa: S101 - quotas always name an end
    return rest.reason is ParkReason.NOT_OFFERED, rest.until


def _quotas(error: _Error) -> Iterator[_Quota]:
    told = _told_limits(error.message)
    for failure in error.of_type("QuotaFailure"):
        violations = failure.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield _quota(violation, told)
    for info in error.of_type("ErrorInfo"):
        metadata = info.get("metadata")
        if isinstance(metadata, dict) and _text(metadata, "quota_limit"):
            limit = _text(metadata, "quota_limit_value")
            yield _Quota(_id(metadata, "quota_limit"), _text(metadata, "quota_metric"), "", limit)


def _told_limits(message: str) -> str:
    """Return the limit that the message names: 0 if any is 0, else the only one, else nothing."""
    if _ZERO_LIMIT.search(message):
        return "0"
    named = _LIMIT.findall(message)
    return named[0] if len(named) == 1 else ""


def _quota(violation: dict[str, Any], told: str) -> _Quota:
    dimensions = violation.get("quotaDimensions")
    model = _text(dimensions, "model") if isinstance(dimensions, dict) else ""
    # The number is in quotaValue in some answers, only in the message in others.
    limit = str(violation.get("quotaValue", told))
    return _Quota(_id(violation, "quotaId"), _text(violation, "quotaMetric"), model, limit)


def _delay(error: _Error) -> timedelta | None:
    """Return how long Google asks to wait: RetryInfo, else the message; None when it names no time."""
    for info in error.of_type("RetryInfo"):
        if match := _SECONDS.fullmatch(_text(info, "retryDelay")):
            return _sane(float(match[1]))
    if match := _RETRY_IN.search(error.message):
        return _sane(float(match[1]) / (1000 if match[2] == "ms" else 1))
    return None


def _sane(seconds: float) -> timedelta:
    return min(max(timedelta(seconds=min(seconds, 1e6)), LEAST_DELAY), MOST_DELAY)


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _id(document: dict[str, Any], name: str) -> str:
    return redact(_text(document, name))[:QUOTA_ID_LIMIT]
