"""Lists in which rows of the environment are not deleted: the next start would bring them back without a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import actions
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

# Django's own name for it, in every language.
_DELETE: Any = getattr(actions.delete_selected, "short_description", "")


class KeepsEnvironment:
    """Refuses to delete what the environment holds, and says why; ``deeds`` is the module that knows."""

    deeds: Any
    admin_site: Any
    opts: Any

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead back to the row's page with the reason, or delete as usual."""
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if row is not None and self._tell_kept(request, [row]):
            name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
            return HttpResponseRedirect(reverse(name, args=(row.pk,)))
        answer: HttpResponse = super().delete_view(request, object_id, extra_context)  # type: ignore[misc]
        return answer

    @admin.action(description=_DELETE, permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Leave out what the environment holds, with the reason, and delete the others as usual."""
        kept = self._tell_kept(request, queryset)
        others = queryset.exclude(pk__in=kept)
        if not others.exists():
            return None
        answer: HttpResponse | None = actions.delete_selected(self, request, others)  # type: ignore[arg-type]
        return answer

    def _tell_kept(self, request: HttpRequest, rows: Iterable[Any]) -> list[int]:
        kept = self.deeds.brought_back(rows)
        if kept:
            messages.warning(request, self.deeds.why_kept(kept))
        return [row.pk for row in kept]
