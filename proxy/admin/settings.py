"""The one form of all behaviour settings."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator
from django.db.models import Field, FloatField, IntegerField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from proxy import revision
from proxy.admin.settings_form import SettingsForm
from proxy.admin.telling import TellingAdmin
from proxy.desk import history
from proxy.models import Settings

LARGEST_NUMBER: Final = 2**31 - 1
SHOWN_CHANGES: Final = 10

# Every setting stands in one group; a test keeps it so.
GROUPS: Final = (
    (
        _("Limits for everybody"),
        ("max_requests_per_minute", "max_requests_per_day_per_ip", "api_key_daily_limit", "max_concurrent_per_key"),
    ),
    (_("Way of answering"), ("fake_streaming", "headers_hold_seconds", "heartbeat_seconds")),
    (
        _("Failover and racing"),
        (
            *("max_attempts", "max_empty_responses", "upstream_timeout_seconds"),
            *("concurrent_requests", "increase_concurrent_on_failure", "max_concurrent_requests"),
        ),
    ),
    (_("Keys"), ("enable_vertex", "key_order")),
    (_("Models"), ("blocked_models", "allowed_models", "extra_models")),
    (_("Google Search"), ("search_mode", "search_prompt", "list_sources")),
    (_("What goes to Google"), ("random_string", "random_string_length", "fetch_media")),
    (_("Logs"), ("log_retention_days",)),
)


YES_NO_INHERIT: Final = (("unknown", _("inherit")), ("true", _("yes")), ("false", _("no")))


@admin.register(Settings)
class SettingsAdmin(TellingAdmin):
    """One page for the one row: a saved value wins from the next request on, an empty one inherits."""

    form = SettingsForm
    fieldsets = tuple((title, {"fields": names}) for title, names in GROUPS)
    change_form_before_template = "admin/proxy/settings/drawn.html"
    change_form_outer_after_template = "admin/proxy/settings/changes.html"
    warn_unsaved_form = True

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show below the form who changed what lately."""
        extra = {**(extra_context or {}), "changes": history.latest(Settings, object_id, SHOWN_CHANGES)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    def get_queryset(self, request: HttpRequest) -> QuerySet[Settings]:
        """Let who saves wait for who saves already, so that neither overlooks the other."""
        queryset: QuerySet[Settings] = super().get_queryset(request)
        return queryset.select_for_update() if request.method == "POST" else queryset

    def save_model(self, request: HttpRequest, obj: Settings, form: SettingsForm, change: bool) -> None:
        """Save, and tell what another admin changed meanwhile and this form therefore kept."""
        super().save_model(request, obj, form, change)
        for name, who in form.others(form.merged.kept).items():
            told = gettext("%(name)s was changed by %(who)s while you had this form open, and stays so.")
            self.message_user(request, told % {"name": name.upper(), "who": who}, messages.INFO)

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
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.NullBooleanField):
            field.widget.choices = YES_NO_INHERIT
        elif isinstance(field, forms.TypedChoiceField):
            choices: Any = field.choices
            field.choices = [("", _("inherit")), *(one for one in choices if one[0])]
        if isinstance(field, forms.IntegerField) and isinstance(db_field, IntegerField | FloatField):
            field.validators.append(MaxValueValidator(LARGEST_NUMBER))
        return field
