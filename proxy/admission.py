"""What a request takes from the ledger before it may run, and what that leaves its member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from keys.ledger import Ledger
from keys.ledger.windows import Standing, Take, Window, address_day, member_day, member_minute, member_tokens
from keys.members import MemberView
from proxy.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class Allowance:
    """The member's tightest request window. ``resets_in`` is in seconds."""

    limit: int
    remaining: int
    resets_in: float


def takes_for(
    member: MemberView, address: str, behaviour: Behaviour, *, count: int, zone: tzinfo, now: float
) -> list[Take]:
    """Return what a request for ``count`` answers takes. A limit of 0 is no limit; tokens are only checked."""
    per_minute = member.requests_per_minute
    if per_minute is None:
        per_minute = behaviour.max_requests_per_minute
    takes = (
        Take(member_minute(member.id, per_minute), count),
        Take(member_day(member.id, member.requests_per_day or 0, now, zone), count),
        Take(member_tokens(member.id, member.tokens_per_day or 0, now, zone), 0),
        Take(address_day(address, behaviour.max_requests_per_day_per_ip, now, zone), count),
    )
    return [take for take in takes if take.window.limit]


async def tightest(ledger: Ledger, takes: Sequence[Take], now: float) -> Allowance | None:
    """Return the member's request window among ``takes`` that has least left, None without one."""
    allowances = [
        _allowance(take.window, await ledger.standing(take.window, now), now)
        for take in takes
        if take.amount and take.window.name.startswith("member:")
    ]
    return min(allowances, key=lambda allowance: allowance.remaining, default=None)


def _allowance(window: Window, standing: Standing, now: float) -> Allowance:
    return Allowance(window.limit, max(window.limit - standing.used, 0), max(standing.resets_at - now, 0.0))
