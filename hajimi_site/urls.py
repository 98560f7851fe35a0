"""Pages for people: status and admin. The API's own addresses are proxy.api_urls."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from hajimi_site.pages import status

urlpatterns = [
    path("", status, name="status"),
    path("admin/", admin.site.urls),
]

handler400 = "hajimi_site.pages.bad_request"
