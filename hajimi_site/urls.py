"""Pages for people: admin, status, health. The API's own urls are proxy.api_urls."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
