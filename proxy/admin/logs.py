"""Request logs in the admin: newest first, with their attempts inside, found by the id that a client quotes."""

from __future__ import annotations

from functools import cached_property, partial
from ipaddress import ip_address
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.sections import TemplateSection

from keys.admin.discreet import DiscreetSearch
from proxy import request_id
from proxy.admin.reading import ReadOnly
from proxy.desk import log_export, outcomes
from proxy.desk.key_columns import shown_time
from proxy.desk.log_filters import ModelFilter, OutcomeFilter, TimeFilter
from proxy.models import Attempt, RequestLog

SHOWN_AT_MOST: Final = 1_000
# Addresses and error codes have no index of their own: it would be written with every request.
SEARCHED_BACK: Final = 100_000


class NewestPaginator(Paginator):  # type: ignore[type-arg]
    """Pages through the newest rows that fit, without ever counting a table of millions."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most SHOWN_AT_MOST: filters and search find the older ones."""
        return len(self.object_list.values_list("pk")[:SHOWN_AT_MOST])  # type: ignore[attr-defined]


class Attempts(TemplateSection):  # type: ignore[misc]
    """The attempts of one request, in their order, inside its row."""

    template_name = "admin/proxy/requestlog/attempts.html"


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnly, DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """The log: newest first, found by the id that a client quotes."""

    list_display = (
        "shown_id",
        "shown_time",
        "member",
        "model",
        "shown_outcome",
        "attempt_count",
        "tokens",
        "duration_ms",
    )
    list_filter = (OutcomeFilter, ("member", RelatedDropdownFilter), ModelFilter, ("started_at", TimeFilter))
    list_filter_submit = True
    list_sections = (Attempts,)
    list_per_page = 40
    list_before_template = "admin/proxy/requestlog/more.html"
    search_fields = ("pk",)
    search_help_text = _("Request id, or exactly: model, address, error code")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = NewestPaginator
    ordering = ("-id",)
    sortable_by = ()
    change_form_outer_after_template = "admin/proxy/requestlog/attempts.html"
    fields = (
        "shown_id",
        "shown_time",
        "member",
        "address",
        "dialect",
        "model",
        "stream",
        "shown_outcome",
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestLog]:
        """Bring members, attempts and their keys along, in three queries."""
        queryset: QuerySet[RequestLog] = super().get_queryset(request)
        attempts = Attempt.objects.select_related("key").order_by("number")
        return queryset.select_related("member").prefetch_related(Prefetch("attempts", attempts))

    def get_urls(self) -> list[URLPattern]:
        """Add the export."""
        export = self.admin_site.admin_view(partial(export_view, self))
        return [path("export/", export, name="proxy_requestlog_export"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the attempts below the request."""
        log = self.get_object(request, object_id)
        extra = (extra_context or {}) | {"instance": log}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    @admin.display(description=_("request id"))
    def shown_id(self, log: RequestLog) -> SafeString:
        """Return the id as clients see it."""
        return format_html('<span class="desk-mono">{}</span>', request_id.shown(log.pk))

    @admin.display(description=_("time"))
    def shown_time(self, log: RequestLog) -> SafeString:
        """Return the time to the second."""
        return format_html('<span class="desk-number">{}</span>', shown_time(log.started_at))

    @admin.display(description=_("outcome"))
    def shown_outcome(self, log: RequestLog) -> SafeString:
        """Show the outcome in the colour of what it means, with its sentence."""
        return outcomes.badge(log.outcome, log.get_outcome_display(), log.message)

    @admin.display(description=_("tokens"))
    def tokens(self, log: RequestLog) -> SafeString:
        """Show the prompt's and the answer's tokens."""
        return format_html('<span class="desk-number">{} → {}</span>', log.prompt_tokens, log.completion_tokens)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RequestLog], search_term: str
    ) -> tuple[QuerySet[RequestLog], bool]:
        """Find one request by its id, or those of exactly this model, or of the latest this address or error code.

        The latest of those that the filters let through: a narrower filter looks further back.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        number = request_id.parse(term)
        if number is not None:
            return queryset.filter(pk=number), False
        is_address = _is_address(term)
        # One column at a time: joined by OR they would be looked for through the whole table.
        if not is_address and (of_model := queryset.filter(model=term)).exists():
            return of_model, False
        first = _first_searched(queryset)
        if first is not None:
            # The page says so, and how to look further back.
            request.searched_since = shown_time(request_id.moment(first))  # type: ignore[attr-defined]
            queryset = queryset.filter(pk__gte=first)
        return queryset.filter(**{"address" if is_address else "code": term}), False


def export_view(model_admin: RequestLogAdmin, request: HttpRequest) -> StreamingHttpResponse | HttpResponseRedirect:
    """Send the requests that the list's filters and search let through, all of them, as CSV.

    A filter that cannot be leads to the list without filters, as it does in the list itself.
    """
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        logs = model_admin.get_changelist_instance(request).get_queryset(request).prefetch_related(None)
    except IncorrectLookupParameters:
        list_url = reverse(f"{model_admin.admin_site.name}:proxy_requestlog_changelist")
        return HttpResponseRedirect(f"{list_url}?{ERROR_FLAG}=1")
    answer = StreamingHttpResponse(log_export.lines(logs), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="requests.csv"'
    return answer


def _is_address(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _first_searched(queryset: QuerySet[RequestLog]) -> int | None:
    """Return the id of the oldest of the newest SEARCHED_BACK requests; None when there are no older ones."""
    newest = queryset.order_by("-pk").values_list("pk", flat=True)
    return next(iter(newest[SEARCHED_BACK - 1 : SEARCHED_BACK]), None)
