"""What a new installation still needs, until its first message went through."""

from __future__ import annotations

from dataclasses import dataclass

from keys.models import Key, Member, Source, Usage
from proxy.models import UpstreamModel


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """Which steps are done. ``trouble`` is why a key is out, when none works."""

    has_key: bool
    key_works: bool
    has_member: bool
    trouble: str


def first_steps() -> FirstSteps | None:
    """Return what is done so far; None once a message went through. Synchronous."""
    if Usage.objects.filter(kind=Usage.Kind.MEMBER, requests__gt=0).exists():
        return None
    enabled = Key.objects.filter(disabled_by="").exists()
    # Google tells its models only to a key that works.
    works = enabled and UpstreamModel.objects.exists()
    return FirstSteps(
        has_key=Key.objects.exists(),
        key_works=works,
        has_member=Member.objects.filter(source=Source.ADMIN, enabled=True).exists(),
        trouble="" if works else _trouble(),
    )


def _trouble() -> str:
    reasons = Key.objects.exclude(disabled_reason="").order_by("-id").values_list("disabled_reason", flat=True)
    return reasons.first() or ""
