"""The admin's desk: one site, in the theme of django-unfold. Its first page is the dashboard."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from proxy.dashboard import views


class DeskSite(UnfoldAdminSite):  # type: ignore[misc]
    """Where everything is run from a browser. Its looks and its navigation stand in ``hajimi_site.theme``."""

    index_title = _("Dashboard")
    enable_nav_sidebar = True
    # As our own columns show that there is nothing.
    empty_value_display = "–"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let staff in; those who have a second factor only with it, also where an older session knows them."""
        from hajimi_site import second_factor

        if not super().has_permission(request):
            return False
        user: Any = request.user
        if not hasattr(user, "may_enter"):
            # Asked several times for each page.
            user.may_enter = user.is_verified() or not second_factor.is_set_up(user)
        return bool(user.may_enter)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard."""
        page: TemplateResponse = super().index(request, {**views.page_context(request), **(extra_context or {})})
        return page

    def extra_urls(self) -> list[URLPattern]:
        """Add the dashboard and the page of the second factor."""
        from hajimi_site import second_factor

        return [
            path("dashboard/", self.admin_view(self.index), name="dashboard"),
            path("dashboard/snapshot", views.snapshot, name="dashboard_snapshot"),
            path("second-factor/", self.admin_view(partial(second_factor.view, self)), name="second_factor"),
        ]
