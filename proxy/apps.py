"""The app that carries one request from client to Gemini and back."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProxyConfig(AppConfig):
    """Request logs, models, settings, and the relay itself."""

    name = "proxy"
    verbose_name = _("Requests and settings")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let saved rows move the runtime revision."""
        from proxy import runtime

        runtime.watch_models()
