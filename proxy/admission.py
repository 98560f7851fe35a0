"""What a request takes from the ledger before it may run, and what that leaves its member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from keys.ledger.windows import (
    Standing,
    Take,
    Window,
    address_day,
    member_day,
    member_minute,
    member_tokens,
    model_day,
    model_minute,
    model_tokens,
)
from keys.members import MemberView, ModelLimitView
from proxy.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class Allowance:
    """The member's tightest request window. ``resets_in`` is in seconds."""

    limit: int
    remaining: int
    resets_in: float


def takes_for(
    member: MemberView, address: str, model: str, behaviour: Behaviour, *, count: int, zone: tzinfo, now: float
) -> list[Take]:
    """Return what a request for ``count`` answers of ``model`` (Google's name) takes.

    A limit of 0 is no limit; tokens are only checked.
    """
    takes = [
        *member_takes(member, behaviour, count=count, zone=zone, now=now),
        Take(address_day(address, behaviour.max_requests_per_day_per_ip, now, zone), count),
    ]
    for limit in member.model_limits:
        if limit.covers(model):
            takes += model_takes(member, limit, count=count, zone=zone, now=now)
    return [take for take in takes if take.window.limit]


def member_takes(
    member: MemberView, behaviour: Behaviour, *, count: int, zone: tzinfo, now: float
) -> tuple[Take, Take, Take]:
    """Return what a request of a member takes whatever its model: of the minute, the day, the tokens."""
    per_minute = member.requests_per_minute
    if per_minute is None:
        per_minute = behaviour.max_requests_per_minute
    return (
        Take(member_minute(member.id, per_minute), count),
        Take(member_day(member.id, member.requests_per_day or 0, now, zone), count),
        Take(member_tokens(member.id, member.tokens_per_day or 0, now, zone), 0),
    )


def model_takes(
    member: MemberView, limit: ModelLimitView, *, count: int, zone: tzinfo, now: float
) -> tuple[Take, Take, Take]:
    """Return what a request takes of one of its member's limits for models."""
    return (
        Take(model_minute(member.id, limit.pattern, limit.requests_per_minute), count),
        Take(model_day(member.id, limit.pattern, limit.requests_per_day, now, zone), count),
        Take(model_tokens(member.id, limit.pattern, limit.tokens_per_day, now, zone), 0),
    )


def tightest(takes: Sequence[Take], standings: Sequence[Standing], now: float) -> Allowance | None:
    """Return the member's request window among ``takes`` that has least left, None without one."""
    allowances = [
        _allowance(take.window, standing, now)
        for take, standing in zip(takes, standings, strict=True)
        if take.amount and take.window.name.startswith("member:")
    ]
    return min(allowances, key=lambda allowance: allowance.remaining, default=None)


def _allowance(window: Window, standing: Standing, now: float) -> Allowance:
    return Allowance(window.limit, max(window.limit - standing.used, 0), max(standing.resets_at - now, 0.0))
