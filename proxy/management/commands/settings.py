"""Shows and changes the behaviour settings, by the form of the admin's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.http import HttpRequest

from keys.management.documents import INHERIT, tell
from proxy import revision
from proxy.admin.settings import SettingsAdmin
from proxy.behaviour import HELP
from proxy.management.documents import acting, add_verb, check
from proxy.models import Settings
from proxy.runtime import current_behaviour

WORDS = {"yes": "true", "no": "false", "on": "true", "off": "false", "1": "true", "0": "false"}


class Command(BaseCommand):
    help = "Show the behaviour settings, or set some: settings set FAKE_STREAMING=no MAX_ATTEMPTS=inherit."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_verb(verbs, "show", "print each setting, and what it inherits").add_argument(
            "names", nargs="*", metavar="NAME", help="only these"
        )
        add_verb(verbs, "set", "set some; they act on the next request").add_argument(
            "changes", nargs="+", metavar="NAME=VALUE", help=f"{INHERIT} takes the admin's value away"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "set":
            changes = dict(_change(text) for text in options["changes"])
            told = _shown(_save(acting(options["by"]), changes))
        else:
            told = _shown([_known(name) for name in options["names"]] or list(HELP))
        tell(
            self,
            options,
            {"settings": told},
            "\n".join(_line(name, one) for name, one in told.items()) or "Nothing has changed.",
        )


def _change(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not is_there:
        raise CommandError(f"Write NAME=VALUE, not {name}.")
    return _known(name), "" if value == INHERIT else value


def _known(name: str) -> str:
    if name.lower() not in HELP:
        raise CommandError(f"There is no setting named {name}; `settings show` lists them.")
    return name.lower()


@transaction.atomic
def _save(user: User | None, changes: Mapping[str, str]) -> list[str]:
    """Fill in the admin's form with these and save it as that page does; return what has changed by it."""
    Settings.objects.get_or_create(pk=revision.ONLY_ROW)
    request = HttpRequest()
    # Who has a shell here may do everything, whoever stands in the history.
    request.method, request.user = "POST", User(is_active=True, is_superuser=True)
    page = SettingsAdmin(Settings, admin.site)
    row = page.get_queryset(request).get(pk=revision.ONLY_ROW)
    form_class = page.get_form(request, row, change=True)
    data = {name: "" if value is None else str(value) for name, value in form_class(instance=row).initial.items()}
    typed = {name: _typed(name, form_class.base_fields[name], value) for name, value in changes.items()}
    form = form_class({**data, **typed}, instance=row)
    check(form, str.upper)
    if not form.has_changed():
        return []
    message = page.construct_change_message(request, form, [])
    page.save_model(request, form.save(commit=False), form, change=True)
    if user is not None:
        request.user = user
        page.log_change(request, row, message)
    return list(form.changed_data)


def _typed(name: str, field: forms.Field, value: str) -> str:
    if isinstance(field, forms.NullBooleanField) and value:
        word = WORDS.get(value.lower(), value.lower())
        if word not in WORDS.values():
            raise CommandError(f"{name.upper()}: yes, no or {INHERIT}, not {value}.")
        return word
    return value


def _shown(names: list[str]) -> dict[str, dict[str, Any]]:
    row = Settings.objects.filter(pk=revision.ONLY_ROW).first() or Settings()
    in_force, inherited = asdict(current_behaviour()), asdict(settings.BEHAVIOUR)
    return {
        name.upper(): {
            "value": in_force[name],
            "inherited": inherited[name],
            "is_set_here": getattr(row, name) not in (None, ""),
        }
        for name in names
    }


def _line(name: str, one: Mapping[str, Any]) -> str:
    inherited = f" (without it: {_word(one['inherited'])})" if one["is_set_here"] else ""
    return f"{name}={_word(one['value'])}{inherited}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)
