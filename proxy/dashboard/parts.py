"""What one process has to tell the dashboard, as plain values that may travel to another process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.conf import settings
from django.utils import translation

from keys.redacting import redact
from keys.rules import Outcome
from proxy import request_id
from proxy.live import LATEST_ENDED, LATEST_REFUSALS, RECENT, Ended, Fault, Live, Minute, Refusal, Running

# A page of hundreds of rows helps nobody; the count tells of the others.
MOST_RUNNING: Final = 50
_MODEL_LENGTH: Final = 80


@dataclass(slots=True)
class Tally:
    """What ended in one minute, in numbers that add up."""

    number: int
    requests: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    first_output_ms: int = 0
    first_outputs: int = 0

    def add(self, other: Tally) -> None:
        """Count what ``other`` has counted too."""
        pairs = (
            (self.requests, other.requests),
            (self.attempts, other.attempts),
            (self.served, other.served),
        )
        for mine, others in pairs:
            for name, count in others.items():
                mine[name] = mine.get(name, 0) + count
        self.tokens += other.tokens
        self.first_output_ms += other.first_output_ms
        self.first_outputs += other.first_outputs


@dataclass(slots=True)
class Part:
    """One process, or several together. ``running`` and ``ended`` are rows of the page, newest first."""

    in_flight: int = 0
    running: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    minutes: list[Tally] = field(default_factory=list)
    first_outputs: list[int] = field(default_factory=list)
    last_answer: float = 0.0
    fault: dict[str, Any] | None = None

    def packed(self) -> dict[str, Any]:
        """Return it as it travels."""
        return asdict(self)

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> Part:
        """Return what ``packed`` was made of."""
        return cls(**{**packed, "minutes": [Tally(**minute) for minute in packed["minutes"]]})


def part_of(live: Live, tails: Mapping[int, str]) -> Part:
    """Return what this process has to tell. ``tails`` are the last characters of each key, by its id."""
    newest = sorted(live.running.items(), key=lambda item: item[1].started, reverse=True)[:MOST_RUNNING]
    fault = live.last_fault
    return Part(
        in_flight=len(live.running),
        running=[_running(number, request) for number, request in newest],
        ended=[_ended(one, tails) for one in reversed(live.ended)],
        refusals=[_refusal(one) for one in live.refusals],
        minutes=[_tally(minute) for minute in live.minutes if minute.number],
        first_outputs=list(live.recent_first_outputs),
        last_answer=live.last_answer,
        fault=None if fault is None else _fault(fault),
    )


def merged(parts: Sequence[Part]) -> Part:
    """Return several processes as one."""
    if len(parts) == 1:
        return parts[0]
    faults = [part.fault for part in parts if part.fault]
    return Part(
        in_flight=sum(part.in_flight for part in parts),
        running=_newest((row for part in parts for row in part.running), "started", MOST_RUNNING),
        ended=_newest((row for part in parts for row in part.ended), "at", LATEST_ENDED),
        refusals=_newest((row for part in parts for row in part.refusals), "at", LATEST_REFUSALS),
        minutes=added(minute for part in parts for minute in part.minutes),
        first_outputs=[one for part in parts for one in part.first_outputs[-RECENT // len(parts) :]],
        last_answer=max((part.last_answer for part in parts), default=0.0),
        fault=max(faults, key=lambda fault: fault["at"], default=None),
    )


def added(minutes: Iterable[Tally]) -> list[Tally]:
    """Return one tally for each minute, in their order."""
    sums: dict[int, Tally] = {}
    for minute in minutes:
        sums.setdefault(minute.number, Tally(minute.number)).add(minute)
    return [sums[number] for number in sorted(sums)]


def _newest(rows: Iterable[dict[str, Any]], by: str, most: int) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row[by], reverse=True)[:most]


def _running(number: int, request: Running) -> dict[str, Any]:
    return {
        "id": request_id.shown(number),
        "member": request.member,
        "model": _model(request.model),
        "keys": list(request.key_tails),
        "attempt": request.attempt_number,
        "started": request.started,
        "speaks": request.has_output,
    }


def _ended(ended: Ended, tails: Mapping[int, str]) -> dict[str, Any]:
    record = ended.record
    tail = tails.get(record.attempts[-1].key_id or 0) if record.attempts else None
    return {
        "id": request_id.shown(record.id),
        "member": ended.member,
        "model": _model(record.model),
        "keys": [tail] if tail else [],
        "attempt": record.attempt_count,
        "at": ended.at,
        "seconds": record.duration_ms / 1000,
        "outcome": str(record.outcome),
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"at": fault.at, "outcome": str(fault.outcome), "message": redact(fault.message)}


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {
        "id": request_id.shown(refusal.request_id),
        "who": refusal.who,
        "model": _model(refusal.model),
        "at": refusal.at,
        "count": refusal.count,
        "status": refusal.error.status,
        "texts": {language: _sentence(refusal, language) for language, _name in settings.LANGUAGES},
    }


def _sentence(refusal: Refusal, language: str) -> str:
    with translation.override(language):
        return redact(refusal.error.for_others())[:300]


def _model(name: str) -> str:
    # It is what a client sent, and may be anything: also a key pasted into the wrong field.
    return redact(name)[:_MODEL_LENGTH]


def _tally(minute: Minute) -> Tally:
    return Tally(
        minute.number,
        {str(outcome): count for outcome, count in minute.requests.items()},
        {str(outcome): count for outcome, count in minute.attempts.items()},
        dict(minute.served),
        minute.tokens,
        minute.first_output_ms,
        sum(minute.first_outputs),
    )


# In which line of the page's chart a request's outcome is drawn; what the client broke off itself is in none.
CLASSES: Final[Mapping[str, str]] = {
    Outcome.ANSWERED: "answered",
    **dict.fromkeys((Outcome.BLOCKED, Outcome.NOT_FOUND, Outcome.BAD_REQUEST, Outcome.REFUSED), "refused"),
    **dict.fromkeys((Outcome.CANCELLED, Outcome.LOST_RACE), "gone"),
    **dict.fromkeys(
        (
            Outcome.PARTIAL,
            Outcome.EMPTY,
            Outcome.TRUNCATED,
            Outcome.RATE_LIMITED,
            Outcome.KEY_REJECTED,
            Outcome.LOCATION,
            Outcome.UNAVAILABLE,
            Outcome.TIMEOUT,
            Outcome.CUT,
            Outcome.NO_KEY,
        ),
        "failed",
    ),
}
