"""How the minutes of a member are laid out again from the times of its requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.recount import running_minute


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([], (0, 0.0)),
        ([950.0], (1, 1010.0)),
        ([940.0], (0, 1000.0)),
        ([930.0, 945.0, 960.0, 995.0], (1, 1055.0)),
        ([930.0, 990.0, 995.0], (2, 1050.0)),
        ([950.0, 950.0, 999.0], (3, 1010.0)),
    ],
)
def test_a_minute_runs_from_its_first_request(starts: list[float], expected: tuple[int, float]) -> None:
    assert running_minute([(start, 1) for start in starts], 1000.0) == expected


def test_a_request_for_several_answers_counts_them_all() -> None:
    assert running_minute([(950.0, 3), (960.0, 2)], 1000.0) == (5, 1010.0)


@given(st.lists(st.floats(0, 999), max_size=50))
def test_it_never_counts_more_than_there_were_in_the_last_minute(starts: list[float]) -> None:
    used, ends_at = running_minute([(start, 1) for start in sorted(starts)], 1000.0)

    assert used <= sum(1 for start in starts if start > 940.0 - 1e-6)
    assert not used or 1000.0 < ends_at <= 1060.0
