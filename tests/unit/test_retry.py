"""What follows a failed attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.retry import FINAL, PAUSED, Patience, Tally, pause, pause_after

PATIENCE = Patience(max_attempts=15, max_empty=5, hold_seconds=15)


def after(outcome: Outcome, *, times: int, patience: Patience = PATIENCE) -> float | None:
    """Return what follows the last of ``times`` attempts that all ended with ``outcome``."""
    tally = Tally(attempts=times)
    for _ in range(times):
        tally.count(outcome)
    return pause_after(outcome, tally, patience)


@pytest.mark.parametrize("outcome", sorted(FINAL))
def test_it_stops_at_once_when_another_key_changes_nothing(outcome: Outcome) -> None:
    assert after(outcome, times=1) is None


@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.KEY_REJECTED, Outcome.EMPTY, Outcome.NOT_FOUND])
def test_it_tries_another_key_without_a_pause_when_the_key_or_chance_is_at_fault(outcome: Outcome) -> None:
    assert after(outcome, times=1) == 0


@pytest.mark.parametrize("outcome", sorted(PAUSED))
def test_it_pauses_longer_after_each_fault_of_google(outcome: Outcome) -> None:
    first, second, third = (after(outcome, times=times) for times in (1, 2, 3))

    assert first is not None
    assert second is not None
    assert third is not None
    assert 0 < first < second < third


def test_it_allows_as_many_further_attempts_after_empty_answers_as_the_setting_says() -> None:
    assert after(Outcome.EMPTY, times=5) == 0
    assert after(Outcome.EMPTY, times=6) is None


def test_it_allows_none_when_the_setting_is_zero() -> None:
    assert after(Outcome.EMPTY, times=1, patience=Patience(15, 0, 15)) is None


def test_it_believes_three_keys_that_a_model_is_unknown() -> None:
    assert after(Outcome.NOT_FOUND, times=2) == 0
    assert after(Outcome.NOT_FOUND, times=3) is None


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - FINAL))
def test_it_never_makes_more_attempts_than_the_setting_allows(outcome: Outcome) -> None:
    assert after(outcome, times=15) is None


@given(attempts=st.integers(1, 100), hold=st.floats(0, 120))
def test_the_pauses_of_a_request_sum_to_less_than_the_hold(attempts: int, hold: float) -> None:
    patience = Patience(attempts, 5, hold)

    total = sum(pause(fault, patience) for fault in range(1, attempts))

    assert total <= hold * 0.81
