"""Admin pages of what the proxy does: request logs, settings, blocked models, Google's models, probes."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any, Final

import httpx
from asgiref.sync import async_to_sync
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator
from django.db.models import Field, FloatField, IntegerField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from keys.models import Key
from keys.pool import PoolKey
from proxy import probe, request_id, revision, runtime
from proxy.behaviour import HELP, Behaviour
from proxy.models import Attempt, BlockedModel, RequestLog, Settings, UpstreamModel

SHOWN_AT_MOST: Final = 1_000
LARGEST_NUMBER: Final = 2**31 - 1


class ReadOnly:
    """Pages where people look and nobody writes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are written by the proxy itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody rewrites what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Old rows leave by themselves."""
        return False


class NewestPaginator(Paginator):  # type: ignore[type-arg]
    """Pages through the newest rows that fit, without ever counting a table of millions."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most SHOWN_AT_MOST: the search finds the older ones."""
        return len(self.object_list.values_list("pk")[:SHOWN_AT_MOST])  # type: ignore[attr-defined]


class AttemptInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The attempts of one request, in their order."""

    model = Attempt
    fields = ("number", "key", "model", "outcome", "status", "quota_id", "message", "started_at", "duration_ms")
    ordering = ("number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Fetch each attempt's key along with it."""
        return super().get_queryset(request).select_related("key")


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The log: newest first, found by the id that a client quotes."""

    list_display = (
        "shown_id",
        "started_at",
        "member",
        "model",
        "outcome",
        "status",
        "attempt_count",
        "prompt_tokens",
        "completion_tokens",
        "duration_ms",
    )
    list_filter = ("outcome", "started_at", "stream", "dialect", "member")
    list_select_related = ("member",)
    list_per_page = 50
    search_fields = ("pk",)
    search_help_text = _("A request id like req_0a1b2c3d4e5f6, or exactly: a model, an address, an error code.")
    show_full_result_count = False
    paginator = NewestPaginator
    ordering = ("-id",)
    inlines = (AttemptInline,)
    fields = (
        "shown_id",
        "started_at",
        "member",
        "address",
        "dialect",
        "model",
        "stream",
        "outcome",
        "status",
        "code",
        "message",
        "attempt_count",
        "prompt_tokens",
        "completion_tokens",
        "thought_tokens",
        "cached_tokens",
        "first_output_ms",
        "duration_ms",
    )

    @admin.display(description=_("request id"), ordering="id")
    def shown_id(self, log: RequestLog) -> str:
        """Return the id as clients see it."""
        return request_id.shown(log.pk)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RequestLog], search_term: str
    ) -> tuple[QuerySet[RequestLog], bool]:
        """Find one request by its id, or those of exactly this model, address or error code."""
        term = search_term.strip()
        if not term:
            return queryset, False
        number = request_id.parse(term)
        if number is not None:
            return queryset.filter(pk=number), False
        exact = queryset.filter(model=term) | queryset.filter(address=term) | queryset.filter(code=term)
        return exact, False


@admin.register(BlockedModel)
class BlockedModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Models that nobody may see or use."""

    list_display = ("pattern", "note")
    search_fields = ("pattern",)


@admin.register(UpstreamModel)
class UpstreamModelAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Google's models as our keys see them."""

    list_display = ("name", "display_name", "input_token_limit", "output_token_limit", "seen_at")
    search_fields = ("name", "display_name")
    fields = (*list_display, "methods", "description")


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings; each help text says what an empty field inherits."""

    class Meta:
        model = Settings
        fields = tuple(field.name for field in Settings._meta.fields if field.editable and not field.primary_key)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = name.upper()
            field.help_text = _help(name)


def _help(name: str) -> str:
    inherited = format_html(gettext("Empty inherits <b>{}</b>."), _shown(getattr(settings.BEHAVIOUR, name)))
    return format_html("{} {} {}", gettext(HELP[name]), inherited, _span(name))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, tuple):
        return ", ".join(value) or gettext("nothing")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _span(name: str) -> str:
    [field] = (one for one in fields(Behaviour) if one.name == name)
    least, most = field.metadata.get("least"), field.metadata.get("most")
    if least is None:
        return ""
    if most is None:
        return gettext("Allowed: %(least)s or more.") % {"least": least}
    return gettext("Allowed: %(least)s to %(most)s.") % {"least": least, "most": most}


YES_NO_INHERIT: Final = (("unknown", _("inherit")), ("true", _("yes")), ("false", _("no")))


@admin.register(Settings)
class SettingsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """One page for the one row: a saved value wins from the next request on, an empty one inherits."""

    form = SettingsForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The row exists from the first start on."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Settings | None = None) -> bool:
        """Emptied fields inherit; a missing row would say no more."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead to the form: there is nothing to list."""
        Settings.objects.get_or_create(pk=revision.ONLY_ROW)
        return HttpResponseRedirect(reverse("admin:proxy_settings_change", args=(revision.ONLY_ROW,)))

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Offer "inherit" where a yes or no is asked, and hold numbers within what both databases store."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.NullBooleanField):
            field.widget.choices = YES_NO_INHERIT
        if isinstance(field, forms.IntegerField) and isinstance(db_field, IntegerField | FloatField):
            field.validators.append(MaxValueValidator(LARGEST_NUMBER))
        return field


@admin.action(description=_("Probe the selected keys (uses up no quota)"), permissions=["change"])
def probe_selected(model_admin: admin.ModelAdmin[Key], request: HttpRequest, chosen: QuerySet[Key]) -> None:
    """Ask Google about each key; disable those it refuses, bring back those it had refused before."""
    ids = set(chosen.values_list("pk", flat=True))
    keys = [key for key in runtime.load().keys if key.id in ids]

    async def ask() -> list[tuple[PoolKey, probe.Probed]]:
        async with httpx.AsyncClient() as client:
            return await probe.probe_all(client, settings.GEMINI_BASE_URL, keys)

    probes = async_to_sync(ask)()
    settled = probe.settle(probes)
    for key, probed in probes:
        if probed.verdict is not None:
            messages.warning(request, f"…{key.tail}: {probed.verdict.message}")
    good = sum(probed.verdict is None for _, probed in probes)
    told = ngettext("%(good)d of %(all)d key answers.", "%(good)d of %(all)d keys answer.", len(probes))
    messages.info(request, told % {"good": good, "all": len(probes)})
    if settled.revived or settled.disabled:
        told = gettext("Brought back: %(revived)d. Disabled: %(disabled)d.")
        messages.info(request, told % {"revived": settled.revived, "disabled": settled.disabled})


def offer_probe() -> None:
    """Add the probe to the key list's actions: the keys' own app knows no way upstream."""
    if admin.site.is_registered(Key):
        key_admin = admin.site.get_model_admin(Key)
        key_admin.actions = (*(key_admin.actions or ()), probe_selected)


offer_probe()
