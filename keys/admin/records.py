"""What the proxy wrote itself: parks may be ended, usage is only read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, CharField, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Concat, Trim
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from keys.admin.discreet import DiscreetSearch
from keys.models import Key, Member, Park, Usage


@admin.register(Park)
class ParkAdmin(DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """Keys that rest. Deleting a park frees its key at once."""

    list_display = ("key", "shown_model", "reason", "until", "created_at", "quota_id")
    list_filter = ("reason", "model")
    list_select_related = ("key",)
    search_fields = ("model", "key__label", "key__tail", "quota_id")
    date_hierarchy = "until"
    ordering = ("until",)

    @admin.display(description=_("model"), ordering="model")
    def shown_model(self, park: Park) -> str:
        """Show a star for a park of the whole key."""
        return park.model or "*"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Parks come from Google's answers."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Park | None = None) -> bool:
        """A park is ended, not changed."""
        return False


@admin.register(Usage)
class UsageAdmin(DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """What members, addresses and keys have used, day by day. Read only."""

    list_display = ("day", "kind", "who", "model", "requests", "prompt_tokens", "completion_tokens")
    list_filter = ("kind", "day", "model")
    search_fields = ("subject", "model")
    ordering = ("-day", "kind", "subject", "model")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Usage]:
        """Bring the names of members and keys along."""
        names = {Usage.Kind.MEMBER: _name(Member, F("name")), Usage.Kind.KEY: _name(Key, _KEY_NAME)}
        named = Case(
            *(When(kind=kind, then=name) for kind, name in names.items()), default=None, output_field=CharField()
        )
        queryset: QuerySet[Usage] = super().get_queryset(request)
        return queryset.annotate(named=named)

    @admin.display(description=_("who"), ordering="subject")
    def who(self, usage: Usage) -> str:
        """Show a name where there is one, else the address or the id of what was deleted."""
        return getattr(usage, "named", None) or usage.subject

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Usage is counted, not written by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Usage | None = None) -> bool:
        """Usage is counted, not written by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Usage | None = None) -> bool:
        """Usage is counted, not written by hand."""
        return False


_KEY_NAME = Trim(Concat(F("label"), Value(" …"), F("tail"), output_field=CharField()))


def _name(model: Any, name: Any) -> Subquery:
    # The id becomes text, not the text a number: an address is no number, and PostgreSQL would say so.
    rows = model.objects.annotate(as_text=Cast("pk", CharField(max_length=64)), shown=name)
    return Subquery(rows.filter(as_text=OuterRef("subject")).values("shown")[:1], output_field=CharField())
