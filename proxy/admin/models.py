"""Models in the admin: those that nobody may use, and Google's list."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin

from keys import limits
from keys.admin.discreet import DiscreetSearch
from proxy.admin.reading import ReadOnly
from proxy.desk import key_columns, model_deeds
from proxy.models import BlockedModel, UpstreamModel
from proxy.runtime import current_behaviour
from proxy.translation.profiles import NamePatterns

SHOWN_NAMES: Final = 6
_SEPARATED: Final = re.compile(r"[\s,;，；]")


class BlockedModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """One name or glob."""

    class Meta:
        model = BlockedModel
        fields = ("pattern", "note")
        help_texts = {
            "pattern": _("For example gemini-2.5-pro or gemini-*-image. It also covers the model's aliases."),
        }

    def clean_pattern(self) -> str:
        """Refuse a list: each name has a row of its own; and what is no name."""
        pattern: str = self.cleaned_data["pattern"].strip()
        if _SEPARATED.search(pattern):
            raise forms.ValidationError(_("One name or glob, without spaces or commas. Add the others one by one."))
        limits.pattern(pattern)
        return pattern


@admin.register(BlockedModel)
class BlockedModelAdmin(DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """Models that nobody may see or use."""

    form = BlockedModelForm
    list_display = ("pattern", "blocks", "note")
    search_fields = ("pattern", "note")

    @admin.display(description=_("blocks now"))
    def blocks(self, row: BlockedModel) -> str:
        """Name Google's models that the pattern covers."""
        if not hasattr(self, "_names"):
            self._names = list(UpstreamModel.objects.order_by("name").values_list("name", flat=True))
        matches = NamePatterns((row.pattern,)).matches
        names = [name for name in self._names if matches(name)]
        more = f" (+{len(names) - SHOWN_NAMES})" if len(names) > SHOWN_NAMES else ""
        return ", ".join(names[:SHOWN_NAMES]) + more if names else "–"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Look at Google's list anew for each page."""
        self.__dict__.pop("_names", None)
        return super().changelist_view(request, extra_context)


@admin.action(description=_("Block the selected models"), permissions=["block"])
def block(model_admin: Any, request: HttpRequest, chosen: QuerySet[UpstreamModel]) -> None:
    """Hide and refuse these models from the next request on."""
    names = list(chosen.values_list("name", flat=True))
    rows = model_deeds.block(request.user, names)
    model_admin.message_user(request, ngettext("%d model blocked.", "%d models blocked.", len(rows)) % len(rows))


@admin.register(UpstreamModel)
class UpstreamModelAdmin(ReadOnly, DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """Google's models as our keys see them."""

    list_display = ("name", "blocked", "display_name", "input_token_limit", "output_token_limit", "seen_at")
    search_fields = ("name", "display_name")
    fields = ("name", "display_name", "input_token_limit", "output_token_limit", "seen_at", "methods", "description")
    list_per_page = 200
    actions = (block,)

    def has_block_permission(self, request: HttpRequest) -> bool:
        """Who may add a blocked model may do it here."""
        return request.user.has_perm("proxy.add_blockedmodel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpstreamModel]:
        """Read what is blocked once for the page."""
        rows = BlockedModel.objects.values_list("pattern", flat=True)
        self._blocked = NamePatterns((*current_behaviour().blocked_models, *rows))
        queryset: QuerySet[UpstreamModel] = super().get_queryset(request)
        return queryset

    @admin.display(description=_("blocked"))
    def blocked(self, row: UpstreamModel) -> str:
        """Say whether members may use it."""
        return key_columns.badge(_("blocked"), "bad") if self._blocked.matches(row.name) else ""
