"""How the log is narrowed down: by time, model, member and outcome, always through an index."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_time
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter

from proxy import request_id
from proxy.models import Outcome, RequestLog, UpstreamModel

FAILED: Final = "failed"


class TimeFilter(RangeDateTimeFilter):  # type: ignore[misc]
    """Requests of a span of time. Ids sort by time, so that the primary key finds them."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Return the requests from the first moment to the last; a date alone is its whole day."""
        begins, ends = self._moment("from", time.min), self._moment("to", time.max)
        if begins is not None:
            queryset = queryset.filter(pk__gte=request_id.first(begins.timestamp()))
        if ends is not None:
            queryset = queryset.filter(pk__lt=request_id.first(ends.timestamp() + 1))
        return queryset

    def _moment(self, side: str, otherwise: time) -> datetime | None:
        given = [self.used_parameters.get(f"{self.parameter_name}_{side}_{part}") or "" for part in (0, 1)]
        try:
            day, hour = parse_date(given[0]), parse_time(given[1])
        except ValueError:
            return None
        return timezone.make_aware(datetime.combine(day, hour or otherwise)) if day else None


class ModelFilter(DropdownFilter):  # type: ignore[misc]
    """Requests of one of Google's models; the search finds any other name."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the models that our keys see, and the one that is chosen."""
        names = list(UpstreamModel.objects.order_by("name").values_list("name", flat=True))
        chosen = request.GET.get("model", "")
        return [(name, name) for name in ([chosen] if chosen and chosen not in names else []) + names]

    def has_output(self) -> bool:
        """Show the filter also before the first list of models was fetched."""
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Return the requests of the chosen model."""
        return queryset.filter(model=self.value()) if self.value() else queryset


class OutcomeFilter(DropdownFilter):  # type: ignore[misc]
    """Requests by how they ended, or all that failed."""

    title = _("outcome")
    parameter_name = "outcome__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Name the outcomes."""
        return [(FAILED, _("everything but answers")), *Outcome.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Return the requests that ended so."""
        if self.value() == FAILED:
            return queryset.filter(outcome__in=[one for one in Outcome if one != Outcome.ANSWERED])
        return queryset.filter(outcome=self.value()) if self.value() in Outcome.values else queryset
