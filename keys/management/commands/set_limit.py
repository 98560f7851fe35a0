"""Set limits of a member or a group; they act on the next request."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from keys import limits
from keys.management.documents import add_json_option, add_limit_options, clean, document, limits_in, member_named, tell
from keys.models import Group, Member, ModelLimit


class Command(BaseCommand):
    help = "Set limits of a member, or with --group of a group. What is not named stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="a member's name, or with --group a group's")
        parser.add_argument("--group", action="store_true", help="set them for the members of a group")
        parser.add_argument("--model", metavar="NAME", help="set them for the models of this name or glob only")
        add_limit_options(parser)
        add_json_option(parser)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        row = _group_named(options["name"]) if options["group"] else member_named(options["name"])
        given = limits_in(options)
        if not given:
            raise CommandError("Name a limit to set, like --requests-per-day 200; --help lists them all.")
        if options["model"]:
            _set_for_models(row, options["model"], given)
        else:
            for name, value in given.items():
                setattr(row, name, value)
            clean(row)
            row.save()
        told = document(row)
        tell(self, options, told, f"{row.name}: " + _shown(told["limits"]))


def _group_named(name: str) -> Group:
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise CommandError(f"There is no group named {name}.")
    return group


def _set_for_models(row: Member | Group, pattern: str, given: dict[str, Any]) -> None:
    wrong = [name for name in given if name not in limits.COUNTED]
    if wrong:
        raise CommandError(f"--model goes with {', '.join(limits.COUNTED)} only, not with {', '.join(wrong)}.")
    holder: dict[str, Any] = {"member": row} if isinstance(row, Member) else {"group": row}
    limit = row.model_limits.filter(pattern=pattern).first() or ModelLimit(pattern=pattern, **holder)
    for name, value in given.items():
        setattr(limit, name, value)
    if all(getattr(limit, name) is None for name in limits.COUNTED):
        if limit.pk:
            limit.delete()
        return
    clean(limit)
    limit.save()


def _shown(values: dict[str, Any]) -> str:
    own = [f"{name} {value}" for name, value in values.items() if name != "models" and value is not None]
    own += [
        f"{name} {value} for {pattern}"
        for pattern, row in values["models"].items()
        for name, value in row.items()
        if value is not None
    ]
    return ", ".join(own) or "no limits of its own"
