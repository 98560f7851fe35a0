"""Pages for people: status and admin. The API's own addresses are proxy.api_urls."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import set_language

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
    # Without a token: the status page sets no cookie, and in a Space's frame it could not. Nobody gains by choosing
    # another's language.
    path("language/setlang/", csrf_exempt(set_language), name="set_language"),
]

handler400 = "hajimi_site.pages.bad_request"
