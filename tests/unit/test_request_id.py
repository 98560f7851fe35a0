"""Request ids sort by time and survive being quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import request_id

MOMENTS = st.floats(1.75e9, 3.9e9)


@given(st.integers(0, 2**63 - 1))
def test_an_id_is_read_back_from_its_text(number: int) -> None:
    assert request_id.parse(request_id.shown(number)) == number


@pytest.mark.parametrize(
    "text", ["({})", " {}.", "No model (gone) of this name ({}).", "x-request-id: {}", "„{}“", "{} or req_soon"]
)
def test_an_id_is_found_in_what_people_copy_along_with_it(text: str) -> None:
    assert request_id.parse(text.format(request_id.shown(123456789))) == 123456789
    assert request_id.parse(text.format(request_id.shown(123456789).upper())) == 123456789


@pytest.mark.parametrize("text", ["req_0123456789abcd", "req_0123456789ab", "req_uuuuuuuuuuuuu", "0123456789abc gone"])
def test_more_or_less_than_an_id_is_none(text: str) -> None:
    assert request_id.parse(text) is None


@given(MOMENTS, MOMENTS)
def test_later_requests_have_larger_ids(one: float, other: float) -> None:
    first, second = sorted((one, other))

    if int(first * 1000) < int(second * 1000):
        assert request_id.new(first) < request_id.new(second)


def test_ids_of_one_moment_differ() -> None:
    assert len({request_id.new(2e9) for _ in range(10_000)}) == 10_000


@given(st.text())
def test_other_texts_are_no_ids(text: str) -> None:
    number = request_id.parse(text)

    assert number is None or request_id.shown(number).removeprefix("req_") in text.lower()


@given(st.integers(1_735_689_600_000, 1_735_689_600_000 + 2**41 - 1))
def test_an_id_tells_when_its_request_came(milliseconds: int) -> None:
    assert request_id.moment(request_id.new(milliseconds / 1000)).timestamp() == pytest.approx(
        milliseconds / 1000, abs=0.0015
    )
