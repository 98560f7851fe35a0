"""Members as rows -> as requests see them: limits resolved, a group's behind the member's own."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Any

from keys import limits
from keys.members import MemberView, ModelLimitView, Own
from keys.models import Member, ModelLimit, Source
from proxy.translation.profiles import NamePatterns


def by_digest() -> dict[str, MemberView]:
    """Return the enabled members by their password's digest. Synchronous."""
    own: dict[int, list[ModelLimit]] = {}
    groups: dict[int, list[ModelLimit]] = {}
    for row in ModelLimit.objects.all():
        rows, holder = (own, row.member_id) if row.member_id is not None else (groups, row.group_id)
        rows.setdefault(holder or 0, []).append(row)
    members = Member.objects.filter(enabled=True).select_related("group")
    return {
        member.digest: view(member, groups.get(member.group_id or 0, ()), own.get(member.pk, ())) for member in members
    }


def view(member: Member, groups: Iterable[ModelLimit], own: Iterable[ModelLimit]) -> MemberView:
    """Return a member as requests see it, with the limits for models of its group and of its own."""
    numbers = {name: resolved(member, name) for name in limits.NUMBERS}
    return MemberView(
        id=member.pk,
        name=member.name,
        digest=member.digest,
        expires_at=member.expires_at,
        model_limits=_model_limits(groups, own),
        own=_own(member),
        follows_environment=member.source == Source.ENVIRONMENT,
        **numbers,
    )


def resolved(member: Member, name: str) -> Any:
    """Return what holds for a member: its own value, its group's when that is empty, else None."""
    for holder in (member, member.group):
        value = getattr(holder, name, None)
        if value is not None and value != "":
            return value
    return None


def _own(member: Member) -> Own | None:
    own = Own(
        allowed_models=limits.names_in(resolved(member, "allowed_models") or ""),
        blocked_models=limits.names_in(resolved(member, "blocked_models") or ""),
        fake_streaming=resolved(member, "fake_streaming"),
        random_string=resolved(member, "random_string"),
    )
    return None if own == Own() else own


def _model_limits(groups: Iterable[ModelLimit], own: Iterable[ModelLimit]) -> tuple[ModelLimitView, ...]:
    merged: dict[str, dict[str, int]] = {}
    for row in (*groups, *own):
        for pattern in NamePatterns([row.pattern]).patterns:
            filled = {name: getattr(row, name) for name in limits.COUNTED}
            merged.setdefault(pattern, {}).update({name: value for name, value in filled.items() if value is not None})
    return tuple(
        ModelLimitView(pattern, re.compile(fnmatch.translate(pattern)).match, **numbers)
        for pattern, numbers in sorted(merged.items())
        if any(numbers.values())
    )
