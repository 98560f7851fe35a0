"""Members and groups for the command line: their limits as options, and the documents of ``--json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys import limits
from keys.models import Group, Limits, Member, ModelLimit

INHERIT: Final = "inherit"
YES_NO: Final = {"yes": True, "no": False}


def add_json_option(parser: CommandParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_limit_options(parser: CommandParser) -> None:
    """Add an option for each limit. Empty options stay None."""
    for name in limits.NUMBERS:
        parser.add_argument(_option(name), metavar="N", help=f"a whole number, 0 for no limit, or {INHERIT}")
    for name in limits.NAMES:
        parser.add_argument(_option(name), metavar="NAMES", help=f"names or globs with commas, or {INHERIT}")
    for name in limits.SWITCHES:
        parser.add_argument(_option(name), choices=(*YES_NO, INHERIT))


def limits_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that were given as options, as fields. Raises CommandError for what is no number."""
    given = {name: options[name] for name in limits.ALL if options.get(name) is not None}
    return {name: _value(name, text) for name, text in given.items()}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(name: str, text: str) -> Any:
    if name in limits.NAMES:
        return "" if text == INHERIT else text
    if text == INHERIT:
        return None
    if name in limits.SWITCHES:
        return YES_NO[text]
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise CommandError(f"{_option(name)}: a limit is a whole number, 0 or more, or {INHERIT}.")
    return number


def clean(row: Member | Group | ModelLimit) -> None:
    """Check what is about to be saved. Raises CommandError, in a line for each field."""
    try:
        row.full_clean(exclude=["digest"])
    except ValidationError as error:
        lines = (f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
        raise CommandError("\n".join(lines)) from None


def member_named(name: str) -> Member:
    """Return a member. Raises CommandError when there is none of that name."""
    member = Member.objects.select_related("group").filter(name=name).first()
    if member is None:
        raise CommandError(f"There is no member named {name}.")
    return member


def document(row: Member | Group) -> dict[str, Any]:
    """Return what is known of a member or a group, without secrets: its own limits, null where it inherits."""
    return {"name": row.name, **(_of_member(row) if isinstance(row, Member) else {}), "limits": own_limits(row)}


def _of_member(member: Member) -> dict[str, Any]:
    return {
        "id": member.pk,
        "group": member.group.name if member.group else None,
        "enabled": member.enabled,
        "expires_at": member.expires_at.isoformat() if member.expires_at else None,
        "note": member.note,
    }


def own_limits(row: Limits) -> dict[str, Any]:
    """Return the limits of a row itself; lists of models as lists."""
    values = {name: getattr(row, name) for name in limits.ALL}
    found: dict[str, Any] = {
        name: list(limits.names_in(value)) or None if name in limits.NAMES else value for name, value in values.items()
    }
    assert isinstance(row, Member | Group)  # noqa: S101 - nothing else has limits
    rows = row.model_limits.all() if row.pk else ()
    found["models"] = {one.pattern: {name: getattr(one, name) for name in limits.COUNTED} for one in rows}
    return found


def tell(command: BaseCommand, options: Mapping[str, Any], told: Mapping[str, Any], sentence: str) -> None:
    """Print a document, or one sentence for people."""
    command.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) if options["json"] else sentence)
