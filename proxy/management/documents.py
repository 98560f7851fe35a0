"""What commands share: who acts in the history, the document of a key, and the errors of a form in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from keys.management.documents import add_json_option
from keys.models import Key, Park
from proxy.desk.key_facts import Facts


def add_verb(verbs: Any, name: str, help_text: str) -> CommandParser:
    """Add a verb to a command, with the options that each of them takes."""
    parser: CommandParser = verbs.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("--by", metavar="ADMIN", help="who stands in the history; ADMIN_USERNAME by default")
    add_json_option(parser)
    return parser


def acting(name: str | None) -> User | None:
    """Return the admin in whose name a command acts; None while there is no admin at all.

    Raises CommandError when there is none of that name.
    """
    admins = User.objects.filter(is_active=True, is_staff=True)
    if name is None:
        # An admin who came by another name is still somebody to ask.
        supers = admins.filter(is_superuser=True).order_by("pk")
        return supers.filter(username=settings.ADMIN_USERNAME).first() or supers.first()
    found = admins.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no admin named {name}.")
    return found


def check(form: forms.Form | forms.ModelForm[Any], named: Callable[[str], str] = str) -> None:
    """Raise CommandError, in a line for each field, unless the form is well filled."""
    if not form.is_valid():
        lines = (f"{named(name)}: {' '.join(map(str, told))}" for name, told in form.errors.items())
        raise CommandError("\n".join(lines))


def key_document(key: Key, facts: Facts) -> dict[str, Any]:
    """Return what is known of a key, without its secret."""
    return {
        "id": key.pk,
        "key": f"…{key.tail}",
        "label": key.label,
        "kind": key.kind,
        "source": key.source,
        "state": str(facts.state),
        "reason": key.disabled_reason,
        "parks": [_park(park) for park in facts.parks],
        "used_today": facts.used,
        "daily_limit": facts.limit or None,
        "success_percent": facts.success,
        "last_error": facts.error,
    }


def _park(park: Park) -> dict[str, Any]:
    return {"model": park.model or None, "reason": park.reason, "until": park.until.isoformat(timespec="seconds")}
