"""What the proxy wrote itself: parks may be ended, usage is only read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

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


class UsageList(ChangeList):  # type: ignore[misc]
    """The page's rows together with the names of their members and keys."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, then its names in two queries: a join by text would read every key for each row."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        members = Member.objects.in_bulk(_ids(rows, Usage.Kind.MEMBER))
        keys = Key.objects.in_bulk(_ids(rows, Usage.Kind.KEY))
        names = {(Usage.Kind.MEMBER, str(pk)): member.name for pk, member in members.items()}
        names |= {(Usage.Kind.KEY, str(pk)): f"{key.label} …{key.tail}".strip() for pk, key in keys.items()}
        for row in rows:
            row.named = names.get((row.kind, row.subject), "")
        self.result_list = rows


def _ids(rows: Iterable[Usage], kind: str) -> set[int]:
    return {int(row.subject) for row in rows if row.kind == kind and row.subject.isdecimal()}


@admin.register(Usage)
class UsageAdmin(DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """What members, addresses and keys have used, day by day. Read only."""

    list_display = ("day", "kind", "who", "model", "requests", "prompt_tokens", "completion_tokens")
    list_filter = ("kind", "day", "model")
    search_fields = ("subject", "model")
    ordering = ("-day", "kind", "subject", "model")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UsageList]:
        """Bring the names of members and keys along."""
        return UsageList

    @admin.display(description=_("who"), ordering="subject")
    def who(self, usage: Usage) -> str:
        """Show a name where there is one, else the address or the id of what was deleted."""
        return getattr(usage, "named", "") or usage.subject

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Usage is counted, not written by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Usage | None = None) -> bool:
        """Usage is counted, not written by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Usage | None = None) -> bool:
        """Usage is counted, not written by hand."""
        return False
