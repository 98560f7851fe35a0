"""The checks of `make chaos` can fail: each kind of wrong is put into a run that was right, and is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos_account import CHECKS, Evidence, Told

DEAD, TIRED, GOOD, LOST = "dead", "tire", "good", "lost"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7}
Wrong = Callable[[Evidence], Evidence]


def answered(number: int, **changes: Any) -> Told:
    told = Told(f"chaos-{number}", stream=True, began=number, ended=number + 0.5, status=200, id=number, is_whole=True)
    return replace(told, **{"text": f"answer {number} end", "finish": "stop", "usage": dict(USAGE)} | changes)


def row(number: int, **changes: Any) -> dict[str, Any]:
    plain = {"id": number, "code": "", "status": 200, "outcome": "answered", "attempt_count": 1, "first_output_ms": 3}
    return plain | USAGE | changes


def attempt(request: int, number: int = 1, outcome: str = "answered", key: int = 3) -> dict[str, Any]:
    return {"request_id": request, "number": number, "outcome": outcome, "key_id": key}


def right() -> Evidence:
    """Three answers, one after a race, one after two bad keys; a refusal; a cut; two who hung up; one hit by a kill."""
    told = [
        *(answered(number) for number in (1, 2, 3)),
        answered(4, status=503, text="", finish=None, code="upstream_unavailable", usage={}),
        answered(5, text="answer 5", finish=None, code="answer_cut", usage={}),
        answered(6, id=None, status=0, text="", finish=None, usage={}, is_whole=False, hung_up=True),
        answered(7, text="answer", finish=None, usage={}, is_whole=False, hung_up=True),
        answered(8, text="answer 8", finish=None, usage={}, is_whole=False, broken="ReadError"),
    ]
    tried = [attempt(3, 1, "key_rejected", 1), attempt(3, 2, "rate_limited", 2), attempt(3, 3)]
    # Vertex AI (key 4) is not to be reached, and who lost a race was called off before Google heard of it.
    failed = [attempt(4, 1, "unavailable", 4), attempt(4, 2, "unavailable"), attempt(4, 3, "timeout")]
    odd = [attempt(2, 2, "lost_race"), attempt(5, 1, "partial")]
    logs = [
        *(row(1), row(2, attempt_count=2), row(3, attempt_count=3)),
        row(4, code="upstream_unavailable", status=503, outcome="unavailable", attempt_count=3, first_output_ms=None),
        row(5, code="answer_cut", status=200, outcome="partial"),
        row(6, outcome="cancelled", first_output_ms=None, prompt_tokens=0, completion_tokens=0),
        row(7, outcome="cancelled"),
    ]
    attempts = [attempt(1), attempt(2), *tried, *failed, *odd, attempt(6, 1, "cancelled"), attempt(7, 1, "cancelled")]
    counted = {"requests": 5, "prompt_tokens": 25, "completion_tokens": 35}
    return Evidence(
        told=told,
        said={f"chaos-{number}": [f"answer {number} end"] for number in range(1, 9)},
        asked={f"chaos-{number}": count for number, count in enumerate((1, 1, 3, 2, 1, 1, 1, 1), 1)},
        dark=[(8.2, 9.0)],
        logs=logs,
        attempts=attempts,
        usage=[
            {"kind": "member", "subject": "1", **counted},
            {"kind": "address", "subject": "127.0.0.1", **counted},
            # Two days of one key. What Google refused, or never got, is not counted.
            {"kind": "key", "subject": "3", "requests": 5},
            {"kind": "key", "subject": "3", "requests": 3},
        ],
        keys=[
            {"id": 1, "tail": DEAD, "kind": "ai_studio", "disabled_by": "google"},
            {"id": 2, "tail": TIRED, "kind": "ai_studio", "disabled_by": ""},
            {"id": 3, "tail": GOOD, "kind": "ai_studio", "disabled_by": ""},
            {"id": 4, "tail": LOST, "kind": "vertex_express", "disabled_by": ""},
        ],
        parks=[{"key_id": 2}],
        dead=frozenset({DEAD}),
        tired=frozenset({TIRED}),
    )


def reported(evidence: Evidence) -> set[str]:
    """Return the names of the checks that found something."""
    found = set()
    for check in CHECKS:
        try:
            check(evidence)
        except AssertionError:
            found.add(check.__name__)
    return found


def told(number: int, **changes: Any) -> Wrong:
    """What one client heard was another thing."""
    return lambda run: replace(
        run, told=[replace(one, **changes) if one.prompt == f"chaos-{number}" else one for one in run.told]
    )


def changed(table: str, place: int, **changes: Any) -> Wrong:
    """One row of a table is another."""

    def change(run: Evidence) -> Evidence:
        rows = list(getattr(run, table))
        rows[place] = rows[place] | changes
        return replace(run, **{table: rows})

    return change


def less(table: str, place: int) -> Wrong:
    """One row of a table is missing."""
    return lambda run: replace(run, **{table: [row for at, row in enumerate(getattr(run, table)) if at != place]})


def more(table: str, row: dict[str, Any]) -> Wrong:
    """One row of a table is too many."""
    return lambda run: replace(run, **{table: [*getattr(run, table), row]})


def asked(number: int, count: int) -> Wrong:
    """Google was asked another number of times."""
    return lambda run: replace(run, asked={**run.asked, f"chaos-{number}": count})


def one_more(kind: int, what: str) -> Wrong:
    """A count of usage is off by one."""
    return lambda run: changed("usage", kind, **{what: run.usage[kind][what] + 1})(run)


def test_a_run_that_was_right_is_called_right() -> None:
    assert reported(right()) == set()


ANSWERS = "every_answer_is_one_of_googles"
FAILURES = "every_failure_is_honest"
LOGGED = "every_acknowledged_request_is_logged_as_it_was"
NOBODYS = "no_row_is_nobodys"
ATTEMPTS = "every_row_has_its_attempts"
ASKED = "google_was_asked_as_often_as_the_log_says"
USAGE_CHECK = "usage_is_exact"
LOST_CHECK = "what_cannot_be_reached_answers_nothing"
BLAME = "no_key_is_blamed_wrongly"


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        # Answers.
        pytest.param(told(1, text="answer 2 end"), ANSWERS, id="somebody else's answer"),
        pytest.param(told(1, text="answer 1 answer 2 end"), ANSWERS, id="an answer mixed of two"),
        pytest.param(told(1, text="answer 1"), ANSWERS, id="an end missing and not said"),
        pytest.param(told(1, text=""), ANSWERS, id="a blank answer"),
        pytest.param(told(1, text="answer 1 end end"), ANSWERS, id="a word twice"),
        pytest.param(told(1, finish=None), ANSWERS, id="no finish"),
        pytest.param(told(1, finish="length"), ANSWERS, id="a finish that was not Google's"),
        pytest.param(told(5, text="answer 2"), ANSWERS, id="a cut answer of another prompt"),
        pytest.param(told(5, finish="stop"), ANSWERS, id="a cut answer that pretends to be whole"),
        pytest.param(told(7, text="swer"), ANSWERS, id="a beginning missing from what a client heard before it went"),
        # Failures.
        pytest.param(told(4, code="internal_error"), FAILURES, id="a failure of ours"),
        pytest.param(told(4, code=""), FAILURES, id="a failure without a name"),
        pytest.param(told(2, is_whole=False), FAILURES, id="a connection that broke without a kill"),
        # Rows.
        pytest.param(less("logs", 0), LOGGED, id="a row missing"),
        pytest.param(less("logs", 3), LOGGED, id="the row of a failure missing"),
        pytest.param(changed("logs", 0, outcome="cancelled"), LOGGED, id="an answer logged as something else"),
        pytest.param(changed("logs", 0, completion_tokens=8), LOGGED, id="tokens logged that were not told"),
        pytest.param(changed("logs", 3, code=""), LOGGED, id="a failure logged as an answer"),
        pytest.param(changed("logs", 0, status=500), LOGGED, id="another status"),
        pytest.param(more("logs", row(1)), NOBODYS, id="a row twice"),
        pytest.param(more("logs", row(99)), NOBODYS, id="a row doubled under another number"),
        pytest.param(told(1, id=2), NOBODYS, id="two clients with one number"),
        # Attempts.
        pytest.param(more("attempts", attempt(1)), ATTEMPTS, id="an attempt twice"),
        pytest.param(more("attempts", attempt(7, 2)), ATTEMPTS, id="an attempt too many of a client who went"),
        pytest.param(less("attempts", 2), ATTEMPTS, id="an attempt missing"),
        pytest.param(more("attempts", attempt(99)), ATTEMPTS, id="an attempt of no request"),
        pytest.param(asked(1, 2), ASKED, id="Google asked behind the log's back"),
        pytest.param(asked(3, 2), ASKED, id="an attempt that Google never saw"),
        pytest.param(asked(2, 0), ASKED, id="a race that nobody ran"),
        pytest.param(asked(2, 3), ASKED, id="a racer that the log does not know"),
        pytest.param(asked(4, 3), ASKED, id="an attempt that cannot have reached Google"),
        pytest.param(changed("attempts", 0, outcome="empty"), ASKED, id="an answer of which no attempt tells"),
        pytest.param(more("attempts", attempt(1, 2, "answered", 4)), LOST_CHECK, id="an answer from nowhere"),
        pytest.param(less("attempts", 5), LOST_CHECK, id="keys that were never tried"),
        # Counts.
        *(
            pytest.param(one_more(kind, what), USAGE_CHECK, id=f"one too many of a {who}'s {what}")
            for kind, who in enumerate(("member", "address"))
            for what in ("requests", "prompt_tokens", "completion_tokens")
        ),
        pytest.param(one_more(2, "requests"), USAGE_CHECK, id="one too many of a key's requests"),
        pytest.param(changed("usage", 3, subject="1"), USAGE_CHECK, id="counted for another key"),
        pytest.param(less("usage", 0), USAGE_CHECK, id="a member's usage missing"),
        pytest.param(
            more("usage", {"kind": "key", "subject": "2", "requests": 1}), USAGE_CHECK, id="a key's day twice"
        ),
        # Blame.
        pytest.param(changed("keys", 2, disabled_by="google"), BLAME, id="a good key disabled"),
        pytest.param(changed("keys", 0, disabled_by=""), BLAME, id="a dead key left in use"),
        pytest.param(more("parks", {"key_id": 3}), BLAME, id="a good key parked"),
        pytest.param(less("parks", 0), BLAME, id="a tired key not parked"),
    ],
)
def test_what_is_wrong_is_reported(wrong: Wrong, check: str) -> None:
    assert check in reported(wrong(right()))


def test_what_was_sent_while_google_was_not_there_need_not_have_been_heard() -> None:
    unheard = asked(3, 1)(right())

    assert reported(unheard) == {ASKED}
    assert reported(replace(unheard, deaf=[(3.1, 3.2)])) == set()
    assert reported(replace(unheard, deaf=[(1.1, 1.2)])) == {ASKED}


@pytest.mark.parametrize(("limit", "is_right"), [(5, True), (4, False), (6, False)])
def test_a_limit_is_reached_and_not_overrun(limit: int, is_right: bool) -> None:
    refused = told(4, code="rate_limit_exceeded")(changed("logs", 3, code="rate_limit_exceeded")(right()))
    ruled = replace(refused, day_limit=limit, honest=frozenset({"rate_limit_exceeded", "answer_cut"}))

    assert ("no_limit_is_overrun" not in reported(ruled)) is is_right


def test_a_limit_that_nobody_ran_into_shows_nothing() -> None:
    assert reported(replace(right(), day_limit=5)) == {"no_limit_is_overrun"}


def test_a_house_that_goes_on_alone_refuses_nobody_for_want_of_redis() -> None:
    refused = told(4, code="not_ready")(changed("logs", 3, code="not_ready")(right()))

    assert reported(refused) == set()
    assert reported(replace(refused, honest=frozenset({"answer_cut"}))) == {FAILURES}


@pytest.mark.parametrize(
    ("seconds", "dark", "is_excused"),
    [(2.5, [(4.0, 5.0)], True), (1.5, [(4.0, 5.0)], False), (2.5, [], False), (2.5, [(40.0, 41.0)], False)],
)
def test_only_an_answer_that_was_not_waited_for_may_be_lost_and_only_by_a_kill(
    seconds: float, dark: list[tuple[float, float]], is_excused: bool
) -> None:
    late = told(1, ended=1 + seconds)

    found = reported(replace(late(less("logs", 0)(right())), dark=dark))

    assert (LOGGED not in found) is is_excused
