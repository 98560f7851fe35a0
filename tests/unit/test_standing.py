"""How keys stand, as an admin sees it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keys.ledger.memory import MemoryLedger
from keys.pool import Lease, ParkRow, Pool, PoolKey
from keys.rules import Outcome, ParkReason, Verdict
from keys.standing import KeyStanding, KeyState, ParkEnd, census

NOW = 1_800_000_000.0
DEAD = Verdict(Outcome.KEY_REJECTED, 400, "API key not valid.", None, "API key not valid.")
DAY, REST = ParkEnd(ParkReason.PER_DAY, NOW + 9000), ParkEnd(ParkReason.RESTING, NOW + 9)


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (KeyStanding(1, "aaaa", 0), KeyState.READY),
        (KeyStanding(1, "aaaa", 0, parks={"gemini-2.5-pro": DAY}), KeyState.READY),
        (KeyStanding(1, "aaaa", 0, parks={"": REST}), KeyState.PARKED),
        (KeyStanding(1, "aaaa", 0, parks={"": DAY}), KeyState.EXHAUSTED),
        (KeyStanding(1, "aaaa", 5, spent_until=NOW + 1), KeyState.EXHAUSTED),
        (KeyStanding(1, "aaaa", 0, is_enabled=False, parks={"": DAY}), KeyState.DISABLED),
        (KeyStanding(1, "aaaa", 0, is_enabled=False, is_readable=False), KeyState.UNREADABLE),
    ],
)
def test_a_key_is_in_one_state(key: KeyStanding, state: KeyState) -> None:
    assert key.state is state
    assert census([key]) == {**dict.fromkeys(KeyState, 0), state: 1}


def test_the_longest_park_counts() -> None:
    key = KeyStanding(1, "aaaa", 0, parks={"": REST, "gemini-2.5-pro": DAY})

    assert key.park("gemini-2.5-pro") == DAY
    assert key.park("gemini-2.5-flash") == REST
    assert KeyStanding(1, "aaaa", 0).park("gemini-2.5-pro") is None


def pool_key(number: int, *, disabled: bool = False, secret: str = "AIzaSecret", limit: int | None = None) -> PoolKey:
    return PoolKey(number, secret, f"key{number}", "ai_studio", limit, disabled)


async def test_the_pool_tells_how_its_keys_stand() -> None:
    pool = Pool(MemoryLedger())
    rest = ParkRow(
        2, "", ParkReason.RESTING, datetime.fromtimestamp(NOW + 60, UTC), "", datetime.fromtimestamp(NOW, UTC)
    )
    keys = [
        pool_key(1, limit=1),
        pool_key(2),
        pool_key(3),
        pool_key(4, disabled=True),
        pool_key(5, secret="", disabled=True),
    ]
    pool.replace(keys, [rest], daily_limit=50, revision=1)
    pool.judge(Lease(keys[2], "gemini-2.5-pro"), DEAD, NOW)
    assert isinstance(await pool.lease("gemini-2.5-pro", (), NOW), Lease)
    await pool.lease("gemini-2.5-pro", (), NOW)

    standings = pool.standings(NOW)

    assert [(one.tail, one.daily_limit, one.state) for one in standings] == [
        ("key1", 1, KeyState.EXHAUSTED),
        ("key2", 50, KeyState.PARKED),
        ("key3", 50, KeyState.DISABLED),
        ("key4", 50, KeyState.DISABLED),
        ("key5", 50, KeyState.UNREADABLE),
    ]
    assert pool.standings(NOW + 61)[1].state is KeyState.READY
