"""The app that owns every secret and how much of it is left."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class KeysConfig(AppConfig):
    """Keys, members, groups and their usage."""

    name = "keys"
    verbose_name = _("Keys and members")
    default_auto_field = "django.db.models.BigAutoField"
