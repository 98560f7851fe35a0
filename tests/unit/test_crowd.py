"""One address alone cannot use up what all need."""

from __future__ import annotations

import pytest

from hajimi_site.crowd import HELD_BY_ONE, HELD_IN_ALL, LARGE, Crowd

BODY = 32 * 2**20


def test_an_address_has_its_most_and_others_are_not_touched_by_it() -> None:
    crowd = Crowd(2, BODY)

    assert [crowd.enter(crowd.requests, "a") for _ in range(3)] == [True, True, False]
    assert crowd.enter(crowd.requests, "b")
    crowd.leave(crowd.requests, "a")
    assert crowd.enter(crowd.requests, "a")


@pytest.mark.parametrize(
    ("address", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("198.51.100.7", "::ffff:198.51.100.7", True),
        ("198.51.100.7", "198.51.100.8", False),
    ],
)
def test_the_addresses_that_one_client_has_are_counted_together(address: str, other: str, *, together: bool) -> None:
    crowd = Crowd(1, BODY)

    assert crowd.enter(crowd.requests, address)
    assert crowd.enter(crowd.requests, other) is not together
    assert crowd.hold(address, HELD_BY_ONE * BODY)
    assert crowd.hold(other, 1) is not together

    crowd.leave(crowd.requests, other)
    crowd.let_go(address, HELD_BY_ONE * BODY)
    assert crowd.enter(crowd.requests, other)
    assert crowd.hold(other, 1)


def test_connections_and_requests_are_counted_apart() -> None:
    crowd = Crowd(1, BODY)

    assert crowd.enter(crowd.requests, "a")
    assert crowd.enter(crowd.connections, "a")


def test_zero_is_any_number() -> None:
    crowd = Crowd(0, BODY)

    assert all(crowd.enter(crowd.requests, "a") for _ in range(10_000))


def test_one_address_may_hold_a_few_largest_bodies_and_all_together_some_more() -> None:
    crowd = Crowd(0, BODY)

    assert [crowd.hold("a", BODY) for _ in range(HELD_BY_ONE + 1)] == [True] * HELD_BY_ONE + [False]
    others = [crowd.hold(f"b{number}", BODY) for number in range(HELD_IN_ALL)]
    assert others.count(True) == HELD_IN_ALL - HELD_BY_ONE
    crowd.let_go("a", BODY)
    assert crowd.hold("c", BODY)


def test_where_bodies_are_small_a_few_large_ones_still_have_room() -> None:
    crowd = Crowd(0, 1000)

    assert crowd.hold("a", LARGE)


def test_whoever_has_gone_leaves_nothing_behind() -> None:
    crowd = Crowd(5, BODY)
    for number in range(1000):
        assert crowd.enter(crowd.requests, str(number))
        assert crowd.hold(str(number), 10)
    for number in range(1000):
        crowd.leave(crowd.requests, str(number))
        crowd.let_go(str(number), 10)

    assert not crowd.requests
    assert not crowd.held
    assert crowd.held_in_all == 0
