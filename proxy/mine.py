"""What a member may know about itself: limits and what is left, use today, the latest requests, models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from django.db.models import Sum
from django.utils import timezone

from keys.ledger import Ledger
from keys.ledger.windows import Slots, Take, address_day, member_slots
from keys.members import MemberView
from keys.models import Member, Source, Usage
from proxy import catalogue, request_id
from proxy.admission import member_takes, model_takes
from proxy.behaviour import Behaviour
from proxy.models import RequestLog
from proxy.runtime import Runtime

SHOWN_REQUESTS: Final = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: its name, the models it is for ("": all), how much of it is used, and when it begins anew.

    Without a limit nothing is counted, and all but the names are None; ``resets_in`` (seconds) is also None where no
    time gives anything back.
    """

    name: str
    models: str
    limit: int | None
    used: int | None
    remaining: int | None
    resets_in: float | None


async def limits_of(
    member: MemberView, address: str, behaviour: Behaviour, ledger: Ledger, zone: tzinfo, now: float
) -> list[Limit]:
    """Return every limit of a member, and that of the address it comes from."""
    whole = member_takes(member, behaviour, count=1, zone=zone, now=now)
    names = ("requests_per_minute", "requests_per_day", "tokens_per_day")
    found = [await _limit(ledger, name, take, "", now) for name, take in zip(names, whole, strict=True)]
    for limit in member.model_limits:
        takes = zip(names, model_takes(member, limit, count=1, zone=zone, now=now), strict=True)
        found += [await _limit(ledger, name, take, limit.pattern, now) for name, take in takes if take.window.limit]
    if member.parallel_requests:
        found.append(await _running(ledger, member_slots(member.id, member.parallel_requests), now))
    if behaviour.max_requests_per_day_per_ip:
        take = Take(address_day(address, behaviour.max_requests_per_day_per_ip, now, zone))
        found.append(await _limit(ledger, "requests_per_day_and_address", take, "", now))
    return found


async def _limit(ledger: Ledger, name: str, take: Take, models: str, now: float) -> Limit:
    window = take.window
    if not window.limit:
        return Limit(name, models, None, None, None, None)
    standing = await ledger.standing(window, now)
    resets_in = max(standing.resets_at - now, 0.0)
    return Limit(name, models, window.limit, standing.used, max(window.limit - standing.used, 0), resets_in)


async def _running(ledger: Ledger, slots: Slots, now: float) -> Limit:
    inside = await ledger.inside(slots, now)
    return Limit("parallel_requests", "", slots.limit, inside, max(slots.limit - inside, 0), None)


@dataclass(frozen=True, slots=True)
class Records:
    """What the database knows of a member."""

    group: str | None
    follows_environment: bool
    requests: tuple[RequestLog, ...]
    by_model: tuple[dict[str, Any], ...]


def records_of(member: MemberView, now: datetime) -> Records:
    """Read what is shown of a member. Synchronous."""
    row = Member.objects.select_related("group").filter(pk=member.id).first()
    return Records(
        group=row.group.name if row and row.group else None,
        follows_environment=bool(row and row.source == Source.ENVIRONMENT),
        requests=tuple(RequestLog.objects.filter(member_id=member.id).order_by("-id")[:SHOWN_REQUESTS]),
        by_model=tuple(_by_model(member, now)),
    )


def _by_model(member: MemberView, now: datetime) -> Iterable[dict[str, Any]]:
    today = timezone.localtime(now).date()
    rows = Usage.objects.filter(kind=Usage.Kind.MEMBER, subject=str(member.id), day=today).values("model")
    summed = rows.annotate(asked=Sum("requests"), prompt=Sum("prompt_tokens"), answer=Sum("completion_tokens"))
    for row in summed.order_by("-asked", "model"):
        counts = {"requests": row["asked"], "prompt_tokens": row["prompt"], "completion_tokens": row["answer"]}
        yield {"model": row["model"], **counts}


def document(
    member: MemberView, runtime: Runtime, limits: Iterable[Limit], records: Records, now: float
) -> dict[str, Any]:
    """Return all of it as JSON's values, without any secret and without anything that was said."""
    return {
        "member": member.name,
        "group": records.group,
        "expires_at": member.expires_at.isoformat() if member.expires_at else None,
        "limits": [_limit_document(limit, now) for limit in limits],
        "today": {**_sums(records.by_model), "models": list(records.by_model)},
        "recent": [_request_document(log) for log in records.requests],
        "models": list(catalogue.names(runtime)),
    }


def _limit_document(limit: Limit, now: float) -> dict[str, Any]:
    resets_at = None if limit.resets_in is None else datetime.fromtimestamp(now + limit.resets_in, UTC).isoformat()
    return {**asdict(limit), "models": limit.models or None, "resets_at": resets_at}


def _sums(by_model: Iterable[dict[str, Any]]) -> dict[str, int]:
    rows = list(by_model)
    return {name: sum(row[name] for row in rows) for name in ("requests", "prompt_tokens", "completion_tokens")}


def _request_document(log: RequestLog) -> dict[str, Any]:
    return {
        "id": request_id.shown(log.pk),
        "started_at": log.started_at.isoformat(),
        "model": log.model,
        "outcome": log.outcome,
        "status": log.status,
        "code": log.code,
        "message": log.message,
        "attempts": log.attempt_count,
        "prompt_tokens": log.prompt_tokens,
        "completion_tokens": log.completion_tokens,
        "duration_ms": log.duration_ms,
    }
