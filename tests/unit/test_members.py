"""Who gets in, where the password is looked for, and how guessing is slowed down."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from keys.members import Doorkeeper, MemberView, Throttled, UnknownPassword, credential
from tests.work import calls_of

START = datetime(2026, 8, 21, 12, 0, tzinfo=UTC)
NOW = START.timestamp()
HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def member(id: int, password: str, expires_at: datetime | None = None) -> MemberView:
    return MemberView(id, f"member{id}", digest(password), None, None, None, expires_at)


ALICE, BOB = member(1, "alice's password"), member(2, "bob's password")
MEMBERS = {view.digest: view for view in (ALICE, BOB)}


@pytest.fixture
def door() -> Doorkeeper:
    return Doorkeeper(digest)


def knock(door: Doorkeeper, password: str, address: str = HOME, now: float = NOW) -> str:
    try:
        return door.authenticate(password, address, MEMBERS, now).name
    except UnknownPassword:
        return "unknown"
    except Throttled:
        return "throttled"


def guess(door: Doorkeeper, times: int, address: str = HOME, now: float = NOW) -> list[str]:
    return [knock(door, f"wrong{number}", address, now) for number in range(times)]


def test_a_password_opens_for_its_member(door: Doorkeeper) -> None:
    assert knock(door, "alice's password") == "member1"
    assert knock(door, "bob's password") == "member2"
    assert knock(door, "carol's password") == "unknown"


@pytest.mark.parametrize("password", [None, "", "密码", "\ud800", "é", "x" * 100_000])
def test_a_missing_or_strange_password_is_simply_unknown(door: Doorkeeper, password: str | None) -> None:
    with pytest.raises(UnknownPassword):
        door.authenticate(password, HOME, MEMBERS, NOW)


def test_an_expired_member_is_refused_like_an_unknown_password(door: Doorkeeper) -> None:
    carol = member(3, "carol", START + timedelta(hours=1))
    members = {carol.digest: carol}

    assert door.authenticate("carol", HOME, members, NOW + 3599) is carol
    with pytest.raises(UnknownPassword):
        door.authenticate("carol", HOME, members, NOW + 3600)


def test_a_wrong_an_expired_and_a_disabled_password_cost_the_same_work() -> None:
    carol = member(3, "carol's password", START)
    # A disabled member is not among those that requests see, as one who has been deleted is not.
    members = MEMBERS | {carol.digest: carol}

    def tried(password: str) -> list[str]:
        door = Doorkeeper(digest)
        told: list[str] = []

        def knock() -> None:
            try:
                door.authenticate(password, HOME, members, NOW)
            except UnknownPassword:
                told.append("unknown")

        # Once for what is remembered between two calls, such as how an address is written.
        knock()
        calls = calls_of(knock)
        assert told == ["unknown"] * 2
        return calls

    wrong, expired, disabled = map(tried, ("nobody's password", "carol's password", "dave's old password"))

    assert wrong == expired == disabled
    assert wrong.count("digest") == 1
    assert wrong.count("compare_digest") == 1


def test_from_the_tenth_wrong_guess_on_an_address_is_refused_unchecked(door: Doorkeeper) -> None:
    assert guess(door, 10) == ["unknown"] * 10
    assert guess(door, 1) == ["throttled"]
    assert knock(door, "alice's password") == "throttled"
    assert knock(door, "alice's password", ELSEWHERE) == "member1"


def test_pauses_grow_to_a_quarter_of_an_hour(door: Doorkeeper) -> None:
    guess(door, 9)
    now, pauses = NOW, []
    for _ in range(13):
        assert knock(door, "wrong", now=now) == "unknown"
        with pytest.raises(Throttled) as throttled:
            door.authenticate("wrong", HOME, MEMBERS, now)
        pauses.append(throttled.value.retry_after)
        now += throttled.value.retry_after

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_a_patient_guesser_is_stopped_surely_within_eighty(door: Doorkeeper) -> None:
    answers = [knock(door, f"wrong{number}", now=NOW + number * 0.5) for number in range(80)]

    assert answers.count("unknown") < 20


def test_a_password_that_worked_from_there_before_still_opens_while_throttled(door: Doorkeeper) -> None:
    assert knock(door, "alice's password") == "member1"
    guess(door, 20)

    assert knock(door, "alice's password") == "member1"
    assert knock(door, "bob's password") == "throttled"
    assert guess(door, 1) == ["throttled"]


def test_a_good_password_does_not_clear_the_guesses(door: Doorkeeper) -> None:
    answers = []
    for _ in range(10):
        answers += guess(door, 9)
        knock(door, "alice's password")

    assert "throttled" in answers[:30]


def test_wrong_guesses_are_forgotten_after_a_quiet_hour(door: Doorkeeper) -> None:
    guess(door, 9)

    assert guess(door, 10, now=NOW + 3600) == ["unknown"] * 10


def test_a_request_without_a_password_is_no_guess(door: Doorkeeper) -> None:
    for _ in range(50):
        with pytest.raises(UnknownPassword):
            door.authenticate(None, HOME, MEMBERS, NOW)

    assert knock(door, "alice's password") == "member1"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:198.51.100.7", "198.51.100.7", True),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.8", False),
        ("198.51.100.7", "198.51.100.8", False),
        ("", "", True),
        ("unknown", "socket", False),
    ],
)
def test_an_address_is_counted_by_what_one_person_owns(door: Doorkeeper, first: str, second: str, same: bool) -> None:
    guess(door, 10, first)

    assert guess(door, 1, second) == (["throttled"] if same else ["unknown"])


def test_memory_is_bounded_and_a_flood_does_not_push_members_out(door: Doorkeeper) -> None:
    knock(door, "alice's password")
    guess(door, 10)
    for number in range(20_000):
        knock(door, "wrong", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(door._guesses) <= 10_000
    guess(door, 10)
    assert knock(door, "bob's password") == "throttled"
    assert knock(door, "alice's password") == "member1"


def test_the_passwords_remembered_for_one_address_are_bounded(door: Doorkeeper) -> None:
    members = {view.digest: view for view in (member(id, f"password{id}") for id in range(100))}
    for id in range(100):
        door.authenticate(f"password{id}", HOME, members, NOW)

    assert sum(len(passwords) for passwords in door._proven.values()) <= 16


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, {}, None),
        ({"authorization": "Bearer secret"}, {}, "secret"),
        ({"authorization": "bearer  secret "}, {}, "secret"),
        ({"authorization": "BEARER two words"}, {}, "two words"),
        ({"authorization": "Basic c2VjcmV0"}, {}, None),
        ({"authorization": "secret"}, {}, None),
        ({"authorization": "Bearer"}, {}, None),
        ({"x-goog-api-key": "google"}, {"key": "query"}, "google"),
        ({"x-api-key": "x", "x-goog-api-key": "google", "authorization": "Bearer b"}, {"key": "query"}, "x"),
        ({"authorization": "Bearer platform"}, {"key": "query"}, "query"),
        ({"x-api-key": "  ", "authorization": "Bearer secret"}, {"key": ""}, "secret"),
    ],
)
def test_the_password_is_looked_for_in_this_order(
    headers: dict[str, str], query: dict[str, str], found: str | None
) -> None:
    assert credential(headers, query) == found
