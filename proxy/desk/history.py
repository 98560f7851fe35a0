"""Who did what and when: lines of the admin's own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.utils.formats import localize
from django.utils.translation import gettext as _

# Fields whose values are nobody's to read; that they changed is told.
_SECRET: Final = frozenset({"password", "secret"})
_LONGEST_VALUE: Final = 200
# As a request has it. None: a command before the first admin; then there is nobody to name, and no line.
Admin = AbstractBaseUser | AnonymousUser | None


def note(admin: Admin, rows: Sequence[Model], sentence: str) -> None:
    """Write one line for each row: what this admin did to it. Never a secret."""
    if rows and admin is not None:
        LogEntry.objects.log_actions(_id(admin), rows, CHANGE, change_message=sentence)


def added(admin: Admin, rows: Sequence[Model]) -> None:
    """Write one line for each row that this admin has added."""
    if rows and admin is not None:
        LogEntry.objects.log_actions(_id(admin), rows, ADDITION, change_message=_("Added."))


def deleted(admin: Admin, rows: Sequence[Model]) -> None:
    """Write one line for each row that this admin is about to delete."""
    if rows and admin is not None:
        LogEntry.objects.log_actions(_id(admin), rows, DELETION)


def latest(model: type[Model], number: str, count: int) -> list[LogEntry]:
    """Return the last lines about one row, newest first, with their admins."""
    lines = _lines(model, number).exclude(change_message="")
    return list(lines.select_related("user").order_by("-action_time")[:count])


def last_line(model: type[Model], number: int) -> int:
    """Return the number of the latest line about one row; 0: there is none."""
    return _lines(model, str(number)).order_by("-pk").values_list("pk", flat=True).first() or 0


def changed_by(model: type[Model], number: int, since: int) -> dict[str, str]:
    """Return who last changed each field of a row after the line ``since``, by the field's label."""
    found = {}
    for line in _lines(model, str(number)).filter(pk__gt=since).select_related("user").order_by("pk"):
        changed = (one.partition(": ")[0] for one in line.get_change_message().split("; "))
        found.update(dict.fromkeys(changed, line.user.get_username()))
    return found


def _lines(model: type[Model], number: str) -> QuerySet[LogEntry]:
    content_type = ContentType.objects.get_for_model(model)
    return LogEntry.objects.filter(content_type=content_type, object_id=number)


def changes(form: forms.ModelForm[Any]) -> str:
    """Tell what a form changed, from which value to which; "" when it changed nothing."""
    return "; ".join(_change(form, name) for name in form.changed_data)


def inline_change(told: Mapping[str, Any]) -> str:
    """Tell in words what Django tells of a row that a form shows along: added, changed or deleted."""
    [(kind, row)] = told.items()
    words = {"added": _("made"), "changed": _("changed"), "deleted": _("deleted")}
    return f"{row['name']} {row['object']}: {words[kind]}"


def _change(form: forms.ModelForm[Any], name: str) -> str:
    label = str(form.fields[name].label or name)
    if name in _SECRET:
        return label
    before, after = form.initial.get(name), form.cleaned_data.get(name)
    if isinstance(after, Model):
        before = type(after)._default_manager.filter(pk=before).first() or before
    return f"{label}: {shown(before)} → {shown(after)}"


def shown(value: object) -> str:
    """Return a value as the history tells it."""
    if value is None or value == "":
        return _("empty")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = str(localize(value))
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _id(admin: AbstractBaseUser | AnonymousUser) -> int:
    assert admin.pk is not None  # noqa: S101 - no page of the desk opens without a login
    return int(admin.pk)
