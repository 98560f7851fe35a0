"""When an upstream counts as out, what opens nothing, and how it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.breaker import FAULTS, FIRST_PAUSE, KEYS, LONGEST_PAUSE, REQUESTS, ROW_SECONDS, Breaker, upstream_of

NOW = 1_800_000_000.0
GEMINI, MODEL = "The Gemini API", "gemini-2.5-pro"
UNREACHABLE, OVERLOADED = (Outcome.UNAVAILABLE, 0), (Outcome.UNAVAILABLE, 503)


@dataclass
class Trouble:
    """Feeds a breaker with failed attempts; the keys and the requests go round."""

    keys: int = 3
    requests: int = REQUESTS
    usable: int = 10
    now: float = NOW
    count: int = 0
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(lambda now: self.usable)

    def fail(self, how: tuple[Outcome, int] = UNREACHABLE, times: int = 1, model: str = MODEL) -> None:
        for _ in range(times):
            self.count += 1
            self.breaker.failed(
                GEMINI, model, *how, request=self.count % self.requests, key=self.count % self.keys, now=self.now
            )

    def is_out(self, model: str = MODEL) -> bool:
        return self.breaker.outage(GEMINI, model, self.now) is not None


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.CUT, Outcome.TIMEOUT])
@pytest.mark.parametrize("status", [0, 200, 500, 503])
def test_faults_in_a_row_of_several_requests_and_keys_are_an_outage(outcome: Outcome, status: int) -> None:
    trouble = Trouble()
    trouble.fail((outcome, status), FAULTS - 1)
    assert not trouble.is_out()

    trouble.fail((outcome, status))

    assert trouble.is_out()


@pytest.mark.parametrize(
    ("what", "trouble", "how"),
    [
        ("one request in trouble", Trouble(requests=1), UNREACHABLE),
        ("requests of which one is too few", Trouble(requests=REQUESTS - 1), OVERLOADED),
        ("one key in trouble among many", Trouble(keys=1), OVERLOADED),
        ("a bad request", Trouble(), (Outcome.BAD_REQUEST, 400)),
        ("a bad key", Trouble(keys=1), (Outcome.KEY_REJECTED, 400)),
        ("all keys bad", Trouble(), (Outcome.KEY_REJECTED, 403)),
        ("quotas used up", Trouble(), (Outcome.RATE_LIMITED, 429)),
        ("a model nobody knows", Trouble(), (Outcome.NOT_FOUND, 404)),
        ("empty answers", Trouble(), (Outcome.EMPTY, 200)),
        ("a blocked prompt", Trouble(), (Outcome.BLOCKED, 200)),
        ("a refused location", Trouble(), (Outcome.LOCATION, 400)),
        ("clients that hang up", Trouble(), (Outcome.CANCELLED, 0)),
        ("lost races", Trouble(), (Outcome.LOST_RACE, 0)),
    ],
)
def test_no_outage_is(what: str, trouble: Trouble, how: tuple[Outcome, int]) -> None:
    trouble.fail(how, 10 * FAULTS)

    assert not trouble.is_out(), what


def test_the_only_usable_key_in_trouble_is_an_outage() -> None:
    trouble = Trouble(keys=1, usable=1)
    trouble.fail(times=FAULTS)

    assert trouble.is_out()


@pytest.mark.parametrize("sign", [(Outcome.RATE_LIMITED, 429), (Outcome.EMPTY, 200), (Outcome.KEY_REJECTED, 403)])
def test_one_sign_of_life_ends_a_row(sign: tuple[Outcome, int]) -> None:
    trouble = Trouble()
    for how in (UNREACHABLE, sign, UNREACHABLE):
        trouble.fail(how, 1 if how is sign else FAULTS - 1)

    assert not trouble.is_out()


def test_faults_that_lie_far_apart_are_no_row() -> None:
    trouble = Trouble()
    for _ in range(3 * FAULTS):
        trouble.fail()
        trouble.now += ROW_SECONDS + 1

    assert not trouble.is_out()


def test_without_a_connection_every_model_is_out() -> None:
    trouble = Trouble()
    trouble.fail(UNREACHABLE, FAULTS)

    assert trouble.is_out("gemini-2.5-flash")


def test_one_overloaded_model_takes_no_other_one_along() -> None:
    trouble = Trouble()
    trouble.fail(OVERLOADED, FAULTS)

    assert trouble.is_out(MODEL)
    assert not trouble.is_out("gemini-2.5-flash")


def test_a_status_shows_that_the_connection_is_there() -> None:
    trouble = Trouble()
    for _ in range(FAULTS - 1):
        trouble.fail(UNREACHABLE)
        trouble.fail(OVERLOADED)

    assert not trouble.is_out()


def test_an_outage_of_one_upstream_leaves_the_other_alone() -> None:
    trouble = Trouble()
    trouble.fail(times=FAULTS)

    assert trouble.breaker.outage(upstream_of("vertex_express"), MODEL, NOW) is None
    assert trouble.breaker.outage(upstream_of("ai_studio"), MODEL, NOW) is not None


def test_one_request_may_try_after_each_pause_and_pauses_grow() -> None:
    trouble = Trouble()
    trouble.fail(times=FAULTS)
    pauses = []
    for _ in range(8):
        outage = trouble.breaker.outage(GEMINI, MODEL, trouble.now)
        assert outage is not None
        pauses.append(outage.wait)
        trouble.now += outage.wait
        assert not trouble.is_out(), "one may try"
        assert trouble.is_out(), "and only one"
        trouble.fail()

    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_attempts_from_before_the_outage_do_not_prolong_it() -> None:
    trouble = Trouble()
    trouble.fail(times=FAULTS + 200)

    outage = trouble.breaker.outage(GEMINI, MODEL, NOW)
    assert outage is not None
    assert outage.wait == FIRST_PAUSE


def test_a_try_that_hangs_does_not_hold_up_the_next() -> None:
    trouble = Trouble()
    trouble.fail(times=FAULTS)
    trouble.now += FIRST_PAUSE
    assert not trouble.is_out()

    trouble.now += FIRST_PAUSE

    assert not trouble.is_out()


def test_an_answer_ends_the_outage_at_once() -> None:
    trouble = Trouble()
    trouble.fail(times=FAULTS)

    trouble.breaker.alive(GEMINI, MODEL)

    assert not trouble.is_out()
    assert trouble.breaker.open == 0


def test_what_it_remembers_is_bounded() -> None:
    trouble = Trouble(requests=10**6, keys=10**6)
    for number in range(5000):
        trouble.fail(OVERLOADED, model=f"m{number}")

    assert len(trouble.breaker._circuits) <= 256


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*Outcome]),
        st.sampled_from([0, 200, 400, 429, 500, 503]),
        st.integers(1, 8),
        st.integers(1, 4),
        st.floats(0, 40),
    ),
    max_size=120,
)


@given(EVENTS)
def test_whatever_happens_an_outage_has_its_reasons_and_ends(
    events: list[tuple[Outcome, int, int, int, float]],
) -> None:
    breaker, now = Breaker(lambda now: 4), NOW
    row: list[tuple[int, int]] = []
    for outcome, status, request, key, seconds in events:
        now += seconds
        breaker.failed(GEMINI, MODEL, outcome, status, request=request, key=key, now=now)
        is_fault = outcome in (Outcome.UNAVAILABLE, Outcome.CUT, Outcome.TIMEOUT)
        if is_fault:
            row.append((request, key))
        elif outcome not in (Outcome.CANCELLED, Outcome.LOST_RACE):
            row.clear()
        outage = breaker.outage(GEMINI, MODEL, now)
        if outage is not None:
            assert len(row) >= FAULTS
            assert len({request for request, _ in row}) >= REQUESTS
            assert len({key for _, key in row}) >= KEYS
            assert 0 < outage.wait <= LONGEST_PAUSE
    assert breaker.outage(GEMINI, MODEL, now + LONGEST_PAUSE) is None
    breaker.alive(GEMINI, MODEL)
    assert breaker.outage(GEMINI, MODEL, now) is None
