"""What an admin does to many keys at once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from keys.models import Key
from proxy.admin.key_forms import LabelForm, LimitForm
from proxy.desk import csv_files, key_columns, key_deeds
from proxy.desk.key_facts import facts_of


@admin.action(description=_("Disable selected keys"), permissions=["change"])
def disable(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> None:
    """Take keys out of the pool."""
    changed = key_deeds.disable(request.user, chosen)
    _tell(model_admin, request, ngettext("%d key disabled.", "%d keys disabled.", len(changed)), changed)


@admin.action(description=_("Enable selected keys"), permissions=["change"])
def enable(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> None:
    """Bring keys back into the pool."""
    changed = key_deeds.enable(request.user, chosen)
    _tell(model_admin, request, ngettext("%d key enabled.", "%d keys enabled.", len(changed)), changed)


@admin.action(description=_("Clear the parks of the selected keys"), permissions=["change"])
def clear_parks(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> None:
    """Let resting keys serve again at once."""
    keys = key_deeds.clear_parks(request.user, chosen)
    _tell(model_admin, request, ngettext("%d key rests no more.", "%d keys rest no more.", len(keys)), keys)


@admin.action(description=_("Set the daily limit of the selected keys"), permissions=["change"])
def set_limit(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> HttpResponse | None:
    """Ask for a limit and give it to all of them."""
    return _ask(model_admin, request, chosen, LimitForm, "set_limit")


@admin.action(description=_("Label the selected keys"), permissions=["change"])
def set_label(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> HttpResponse | None:
    """Ask for a label and give it to all of them."""
    return _ask(model_admin, request, chosen, LabelForm, "set_label")


@admin.action(description=_("Export a list of the selected keys (masked)"), permissions=["view"])
def export_masked(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> HttpResponse:
    """Return a CSV file that tells keys apart and gives none away."""
    keys = list(chosen)
    facts = facts_of(keys, timezone.now())
    head = ("id", "key", "label", "kind", "source", "state", "daily_limit", "used_today", "success_percent", "added")
    rows = [
        (
            key.pk,
            f"…{key.tail}",
            key.label,
            key.kind,
            key.source,
            key_columns.plain_state(key, facts[key.pk]),
            facts[key.pk].limit,
            facts[key.pk].used,
            facts[key.pk].success,
            key.created_at.isoformat(timespec="seconds"),
        )
        for key in keys
    ]
    answer = HttpResponse(csv_files.BOM + csv_files.lines([head, *rows]), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="keys.csv"'
    return answer


def _tell(model_admin: Any, request: HttpRequest, sentence: str, keys: list[Key]) -> None:
    model_admin.message_user(request, sentence % len(keys))


def _ask(
    model_admin: Any, request: HttpRequest, chosen: QuerySet[Key], form_class: type[forms.Form], action: str
) -> HttpResponse | None:
    """Show a form for what to set; apply it once it comes back well filled."""
    form = form_class(request.POST if "apply" in request.POST else None)
    (field,) = form.fields
    if form.is_valid():
        value = form.cleaned_data[field]
        keys = key_deeds.set_field(request.user, chosen, field, value)
        _tell(model_admin, request, ngettext("%d key changed.", "%d keys changed.", len(keys)), keys)
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        "form": form,
        "opts": model_admin.opts,
        "title": key_deeds.TITLES[field](),
        "action": action,
        "count": chosen.count(),
        "ids": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/keys/key/set_many.html", context)
