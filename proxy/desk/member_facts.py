"""What the pages of members tell beside the rows: limits in force, use today, when they last asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from django.db.models import OuterRef, Subquery, Sum
from django.utils import timezone

from keys.members import MemberView
from keys.models import Member, ModelLimit, Usage
from proxy import membership
from proxy.behaviour import Behaviour
from proxy.models import RequestLog

SHOWN_REQUESTS: Final = 20


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit is used; limit 0: none. ``kind`` is requests or tokens; ``models`` whose, "" for all."""

    used: int
    limit: int
    kind: str = "requests"
    models: str = ""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """About one member today: requests, tokens, limits for models, requests in a minute and at once, the last one."""

    requests: Use
    tokens: Use
    models: tuple[Use, ...]
    per_minute: int
    at_once: int
    by_model: Mapping[str, tuple[int, int]]
    last_at: datetime | None


def facts_of(members: Collection[Member], behaviour: Behaviour) -> dict[int, MemberFacts]:
    """Return the facts about each member by its id, in a few queries."""
    ids = [member.pk for member in members]
    used = used_on(timezone.localdate(), ids)
    latest = RequestLog.objects.filter(member=OuterRef("pk")).order_by("-id").values("started_at")[:1]
    last = dict(Member.objects.filter(pk__in=ids).annotate(last=Subquery(latest)).values_list("pk", "last"))
    own, groups = _model_limits(members)
    return {
        member.pk: _facts(
            membership.view(member, groups.get(member.group_id or 0, ()), own.get(member.pk, ())),
            used.get(member.pk, {}),
            behaviour,
            last.get(member.pk),
        )
        for member in members
    }


def used_on(day: date, ids: Iterable[int]) -> dict[int, dict[str, tuple[int, int]]]:
    """Return the requests and tokens of members on a day of TZ, by member and model."""
    rows = Usage.objects.filter(kind=Usage.Kind.MEMBER, day=day, subject__in=[str(one) for one in ids])
    sums = rows.values("subject", "model").annotate(
        asked=Sum("requests"), tokens=Sum("prompt_tokens") + Sum("completion_tokens")
    )
    found: dict[int, dict[str, tuple[int, int]]] = {}
    for row in sums.order_by("-asked", "model"):
        found.setdefault(int(row["subject"]), {})[row["model"]] = (row["asked"], row["tokens"])
    return found


def latest_requests(member: Member) -> list[RequestLog]:
    """Return the last requests of a member, newest first."""
    return list(RequestLog.objects.filter(member=member).order_by("-id")[:SHOWN_REQUESTS])


def _model_limits(members: Collection[Member]) -> tuple[dict[int, list[ModelLimit]], dict[int, list[ModelLimit]]]:
    own: dict[int, list[ModelLimit]] = {}
    groups: dict[int, list[ModelLimit]] = {}
    ids, group_ids = {member.pk for member in members}, {member.group_id for member in members}
    for row in ModelLimit.objects.all():
        if row.member_id in ids:
            own.setdefault(row.member_id or 0, []).append(row)
        elif row.group_id is not None and row.group_id in group_ids:
            groups.setdefault(row.group_id, []).append(row)
    return own, groups


def _facts(
    member: MemberView, by_model: Mapping[str, tuple[int, int]], behaviour: Behaviour, last_at: Any
) -> MemberFacts:
    per_minute = member.requests_per_minute
    return MemberFacts(
        requests=Use(sum(use[0] for use in by_model.values()), member.requests_per_day or 0),
        tokens=Use(sum(use[1] for use in by_model.values()), member.tokens_per_day or 0, "tokens"),
        models=tuple(_of_models(member, by_model)),
        per_minute=behaviour.max_requests_per_minute if per_minute is None else per_minute,
        at_once=member.parallel_requests or 0,
        by_model=by_model,
        last_at=last_at,
    )


def _of_models(member: MemberView, by_model: Mapping[str, tuple[int, int]]) -> Iterable[Use]:
    for limit in member.model_limits:
        covered = [use for model, use in by_model.items() if limit.covers(model)]
        if limit.requests_per_day:
            yield Use(sum(use[0] for use in covered), limit.requests_per_day, "requests", limit.pattern)
        if limit.tokens_per_day:
            yield Use(sum(use[1] for use in covered), limit.tokens_per_day, "tokens", limit.pattern)
