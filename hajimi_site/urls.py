"""Pages for people: status and admin. The API's own addresses are proxy.api_urls."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from hajimi_site.api_page import docs, openapi
from hajimi_site.me_page import me, new_password
from hajimi_site.metrics import metrics
from hajimi_site.pages import status

urlpatterns = [
    path("", status, name="status"),
    path("me", me, name="me"),
    path("me/password", new_password, name="me_password"),
    path("docs", docs, name="docs"),
    path("openapi.json", openapi, name="openapi"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("language/", include("django.conf.urls.i18n")),
]

handler400 = "hajimi_site.pages.bad_request"
