"""Keys in the admin: the list and each key's own page. A secret is taken, and shown again only to who asks for it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.views import ChangeList

from keys import vault
from keys.importing import parse_keys
from keys.models import Key, Source
from proxy.admin import key_actions
from proxy.admin.keeping import KeepsEnvironment
from proxy.admin.key_forms import KeyForm, NewKeyForm
from proxy.admin.key_pages import import_view, reveal_view
from proxy.admin.probing import probe_selected, probe_view
from proxy.admin.telling import PatientAdmin
from proxy.desk import key_columns, key_deeds
from proxy.desk.key_facts import Facts, History, State, facts_of, history_of, ids_in_state
from proxy.models import Attempt

SHOWN_ATTEMPTS: Final = 50
STATES: Final = {str(state): state for state in State}


class StateFilter(admin.SimpleListFilter):
    """Keys by whether the pool may use them."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Name the states."""
        return [(str(state), name) for state, name in key_columns.STATE_NAMES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Return the keys in the chosen state."""
        chosen = self.value()
        if chosen == State.DISABLED:
            return queryset.exclude(disabled_by=Key.DisabledBy.NOBODY)
        if (state := STATES.get(chosen or "")) is not None:
            return queryset.filter(pk__in=ids_in_state(state, timezone.now()))
        return queryset


class KeyList(ChangeList):  # type: ignore[misc]
    """The page's keys together with the facts about them."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, then what is known about its keys, in a few queries."""
        super().get_results(request)
        keys: list[Any] = list(self.result_list)
        facts = facts_of(keys, timezone.now())
        for key in keys:
            key.facts = facts[key.pk]
        self.result_list = keys


@admin.register(Key)
class KeyAdmin(KeepsEnvironment, PatientAdmin):
    """The list shows the last four characters of each key, its state and its use."""

    list_display = ("name", "state", "parks", "today", "success", "last_error", "created_at")
    list_filter = (StateFilter, "kind", "source", "disabled_by")
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("label", "tail", "disabled_reason")
    search_help_text = _("Label, last characters, or the whole key")
    readonly_fields = ("state", "shown_tail", "source", "disabled_by", "disabled_reason", "created_at")
    deeds = key_deeds
    actions = (
        probe_selected,
        key_actions.disable,
        key_actions.enable,
        key_actions.clear_parks,
        key_actions.set_limit,
        key_actions.set_label,
        key_actions.export_masked,
        "delete_selected",
    )
    unshown = ("secret",)
    change_form_outer_before_template = "admin/keys/key/buttons.html"
    change_form_outer_after_template = "admin/keys/key/facts.html"

    def get_form(self, request: HttpRequest, obj: Key | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask for the secret of a new key only."""
        return super().get_form(request, obj, change, form=KeyForm if obj else NewKeyForm, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Show what is known only of a key that is there."""
        if obj is None:
            return NewKeyForm.field_order
        return ("state", "label", "kind", "daily_limit", *self.readonly_fields[1:])

    def get_readonly_fields(self, request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Show what is known only of a key that is there."""
        return self.readonly_fields if obj else ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyList]:
        """Bring the facts along."""
        return KeyList

    def get_urls(self) -> list[URLPattern]:
        """Add the pages for importing, probing and revealing."""
        wrap = self.admin_site.admin_view
        pages = [
            path("import/", wrap(partial(import_view, self)), name="keys_key_import"),
            path("probe/", wrap(partial(probe_view, self)), name="keys_key_probe"),
            path("<path:object_id>/reveal/", wrap(partial(reveal_view, self)), name="keys_key_reveal"),
        ]
        return [*pages, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Find a whole key that was pasted into the search without ever writing it into a page."""
        term = request.GET.get("q", "").strip()
        if term and (keys := parse_keys(term).keys or _known(term)):
            return self._found(request, keys[0])
        answer: HttpResponse = super().changelist_view(request, extra_context)
        return answer

    def _found(self, request: HttpRequest, secret: str) -> HttpResponse:
        key = Key.objects.filter(digest=vault.digest(secret)).first()
        if key is not None:
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:keys_key_change", args=(key.pk,)))
        told = _now("The pasted key, which ends in …%(tail)s, is not here.") % {"tail": vault.tail(secret)}
        self.message_user(request, told, messages.WARNING)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:keys_key_changelist"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Key], search_term: str
    ) -> tuple[QuerySet[Key], bool]:
        """Search as usual; the dots that stand before a tail are no part of it."""
        found, may_repeat = super().get_search_results(request, queryset, search_term.strip().strip("….*"))
        return found, may_repeat

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what the key did below its form."""
        key = self.get_object(request, object_id)
        extra = (extra_context or {}) | (self._history(key) if key else {})
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    def _history(self, key: Key) -> dict[str, Any]:
        now = timezone.now()
        facts = facts_of([key], now)[key.pk]
        history = history_of(key, facts.parks, now)
        attempts = Attempt.objects.filter(key=key).order_by("-started_at")[:SHOWN_ATTEMPTS]
        return {"facts": facts, "key": key, "history": history, "chart": _chart(history), "attempts": attempts}

    @admin.display(description=_("key"), ordering="label")
    def name(self, key: Key) -> SafeString:
        """Tell keys apart, and say which the environment brought."""
        source = key_columns.badge(key.get_source_display()) if key.source == Source.ENVIRONMENT else ""
        return format_html(
            '{} <span class="desk-mono">…{}</span> <small>{}</small> {}',
            key.label,
            key.tail,
            key.get_kind_display(),
            source,
        )

    @admin.display(description=_("ends in"), ordering="tail")
    def shown_tail(self, key: Key) -> str:
        """Show the last four characters."""
        return f"…{key.tail}"

    @admin.display(description=_("state"), ordering="disabled_by")
    def state(self, key: Key) -> SafeString:
        """Say whether the pool may use the key, and if not, why and until when."""
        return key_columns.state(key, _facts(key))

    @admin.display(description=_("rests for"))
    def parks(self, key: Key) -> str:
        """List the models it rests for."""
        return key_columns.parks(_facts(key))

    @admin.display(description=_("today"))
    def today(self, key: Key) -> str:
        """Show today's answers against their limit."""
        return key_columns.today(_facts(key))

    @admin.display(description=_("success"))
    def success(self, key: Key) -> str:
        """Show how many attempts were answered."""
        return key_columns.success(_facts(key))

    @admin.display(description=_("last error"))
    def last_error(self, key: Key) -> str:
        """Show the latest sentence of a failed attempt."""
        return key_columns.error(_facts(key))


def _known(secret: str) -> tuple[str, ...]:
    """Return this secret if it is a key that is here: a few have forms of their own."""
    return (secret,) if Key.objects.filter(digest=vault.digest(secret)).exists() else ()


def _facts(key: Key) -> Facts:
    if not hasattr(key, "facts"):
        key.facts = facts_of([key], timezone.now())[key.pk]  # type: ignore[attr-defined]
    facts: Facts = key.facts  # type: ignore[attr-defined]
    return facts


def _chart(history: History) -> str:
    """Return the days for the theme's chart script."""
    requests = {
        "label": _now("Requests"),
        "data": [day.requests for day in history.days],
        "backgroundColor": "var(--color-primary-600)",
        "borderRadius": 3,
    }
    labels = [date_format(day.day, "m-d") for day in history.days]
    return json.dumps({"labels": labels, "datasets": [requests]})
