"""Print what members have used."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from keys.management.documents import add_json_option, member_named
from keys.models import Member, Usage


class Command(BaseCommand):
    help = "Print what members have used, by model: today, or on the days up to one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="one member; without it all who have used something")
        parser.add_argument("--day", help="the last day, like 2026-11-24; today by default")
        parser.add_argument("--days", type=int, default=1, help="how many days up to it")
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        last = _day(options["day"])
        if not 1 <= options["days"] <= 3660:
            raise CommandError("--days is a whole number from 1 to 3660.")
        first = last - timedelta(days=options["days"] - 1)
        members = [member_named(options["name"])] if options["name"] else Member.objects.all()
        told: dict[str, Any] = {
            "from": first.isoformat(),
            "to": last.isoformat(),
            "members": list(_used(members, first, last)),
        }
        if options["json"]:
            self.stdout.write(json.dumps(told, ensure_ascii=False, indent=2))
            return
        for member in told["members"]:
            self.stdout.write(f"{member['name']}: {_shown(member)}")
            for model in member["models"]:
                self.stdout.write(f"  {model['model']}: {_shown(model)}")
        if not told["members"]:
            self.stdout.write("Nobody has used anything.")


def _day(text: str | None) -> date:
    if not text:
        return timezone.localdate()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--day: {text} is no day; write it like 2026-11-24.") from None


COUNTED = ("requests", "prompt_tokens", "completion_tokens")


def _used(members: Iterable[Member], first: date, last: date) -> Iterable[dict[str, Any]]:
    names = {str(member.pk): member.name for member in members}
    rows = Usage.objects.filter(kind=Usage.Kind.MEMBER, day__range=(first, last)).order_by("model")
    found: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows.filter(subject__in=names) if len(names) == 1 else rows:
        if row.subject in names:
            counts = found.setdefault(row.subject, {}).setdefault(row.model, dict.fromkeys(COUNTED, 0))
            for name in COUNTED:
                counts[name] += getattr(row, name)
    for subject in sorted(found, key=lambda subject: names[subject]):
        models = found[subject]
        sums = {name: sum(counts[name] for counts in models.values()) for name in COUNTED}
        yield {
            "name": names[subject],
            **sums,
            "models": [{"model": model, **counts} for model, counts in models.items()],
        }


def _shown(counts: dict[str, Any]) -> str:
    return f"{counts['requests']} requests, {counts['prompt_tokens']} + {counts['completion_tokens']} tokens"
