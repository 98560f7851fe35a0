"""What a process counts of itself, for the dashboard and for /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from keys.rules import Outcome
from proxy import errors
from proxy.journal_rows import AttemptRecord, Record
from proxy.live import FIRST_OUTPUT_BOUNDS, LATEST_REFUSALS, MINUTES, MOST_MODELS, Live

NOW = 1_800_000_000.0
WHEN = datetime.fromtimestamp(NOW, UTC)


@dataclass(frozen=True)
class Request:
    member: str = "Ann"
    model: str = "gemini-2.5-pro"
    started: float = NOW
    attempt_number: int = 1
    key_tails: tuple[str, ...] = ("x7Qk",)
    has_output: bool = False


def attempt(outcome: Outcome, *, number: int = 1, model: str = "gemini-2.5-pro", message: str = "") -> AttemptRecord:
    return AttemptRecord(
        number=number, key_id=1, model=model, outcome=outcome, started_at=WHEN, duration_ms=5, message=message
    )


def record(outcome: Outcome = Outcome.ANSWERED, *tries: AttemptRecord, **fields: int) -> Record:
    return Record(id=1, started_at=WHEN, outcome=outcome, attempts=list(tries), **fields)  # type: ignore[arg-type]


def test_a_request_is_in_flight_until_it_leaves() -> None:
    live = Live()

    live.begin(1, Request())
    live.begin(2, Request())
    live.leave(1)
    live.leave(1)

    assert list(live.running) == [2]


def test_it_counts_requests_attempts_and_tokens() -> None:
    live = Live()
    tries = (attempt(Outcome.EMPTY), attempt(Outcome.RATE_LIMITED, number=2), attempt(Outcome.ANSWERED, number=3))

    live.count(record(Outcome.ANSWERED, *tries, prompt_tokens=7, completion_tokens=5, thought_tokens=2), "Ann", NOW)
    live.count(record(Outcome.REFUSED), "Ann", NOW)

    total = live.total
    assert total.requests == {Outcome.ANSWERED: 1, Outcome.REFUSED: 1}
    assert total.attempts == {Outcome.ANSWERED: 1, Outcome.EMPTY: 1, Outcome.RATE_LIMITED: 1}
    tokens = (total.prompt_tokens, total.completion_tokens, total.thought_tokens, total.cached_tokens)
    assert tokens == (7, 5, 2, 0)
    minute = live.minutes[-1]
    assert (minute.number, minute.tokens) == (NOW // 60, 12)
    # Google served the empty answer too; what it refused is no use of the model.
    assert minute.served == {"gemini-2.5-pro": 2}


def test_first_outputs_are_a_histogram() -> None:
    live = Live()

    for milliseconds in (50, 500, 501, 999_000):
        live.count(record(first_output_ms=milliseconds), "Ann", NOW)

    counts = dict(zip((*FIRST_OUTPUT_BOUNDS, None), live.total.first_outputs, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {0.1: 1, 0.5: 1, 1.0: 1, None: 1}
    assert live.total.first_output_ms == 1_000_051


def test_it_keeps_an_hour_of_minutes() -> None:
    live = Live()

    for minute in range(3 * MINUTES):
        live.count(record(), "Ann", NOW + 60 * minute)

    numbers = [minute.number for minute in live.minutes]
    assert len(numbers) == MINUTES + 1
    assert numbers == list(range(numbers[0], numbers[0] + MINUTES + 1))
    assert live.total.requests == {Outcome.ANSWERED: 3 * MINUTES}


def test_a_clock_set_back_loses_nothing() -> None:
    live = Live()

    live.count(record(), "Ann", NOW)
    live.count(record(), "Ann", NOW - 3600)

    assert live.minutes[-1].requests == {Outcome.ANSWERED: 2}


def test_it_remembers_googles_last_fault_and_last_answer() -> None:
    live = Live()

    live.count(record(Outcome.UNAVAILABLE, attempt(Outcome.UNAVAILABLE, message="overloaded")), "Ann", NOW)
    live.count(record(Outcome.ANSWERED, attempt(Outcome.ANSWERED)), "Ann", NOW + 1)

    assert live.last_answer == NOW + 1
    assert live.last_fault is not None
    assert (live.last_fault.at, live.last_fault.message) == (NOW, "overloaded")


def test_the_latest_refusals_come_first_and_the_same_one_is_counted() -> None:
    live = Live()
    limit, unknown = errors.LimitReached("limit"), errors.UnknownModel("unknown")

    live.refused(limit, who="Ann", model="a", request_id=1, now=NOW)
    live.refused(unknown, who="Ben", model="b", request_id=2, now=NOW)
    live.refused(errors.LimitReached("limit"), who="Ann", model="a", request_id=3, now=NOW + 5)

    assert [(one.who, one.count, one.at, one.request_id) for one in live.refusals] == [
        ("Ann", 2, NOW + 5, 3),
        ("Ben", 1, NOW, 2),
    ]


def test_what_clients_name_does_not_grow_without_end() -> None:
    live = Live()

    for number in range(1000):
        live.refused(errors.UnknownModel("no"), who=f"10.0.0.{number}", model="", request_id=number, now=NOW)
        live.count(record(Outcome.ANSWERED, attempt(Outcome.ANSWERED, model=f"m{number}")), "Ann", NOW)

    assert len(live.refusals) == LATEST_REFUSALS
    assert live.refusals[0].request_id == 999
    assert len(live.minutes[-1].served) == MOST_MODELS
