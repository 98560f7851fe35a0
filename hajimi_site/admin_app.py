"""Django's admin with our own site as its default one."""

from __future__ import annotations

import contextlib
import importlib

from django.conf import settings
from django.contrib.admin.apps import AdminConfig

from hajimi_site import memory


class Desk(AdminConfig):
    """The admin's desk."""

    default_site = "hajimi_site.admin_site.DeskSite"

    def ready(self) -> None:
        """Find the pages of every app."""
        on_postgres = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
        # The theme loads psycopg, 9 MB, for kinds of fields that no model of ours has.
        with contextlib.nullcontext() if on_postgres else memory.missing("psycopg"):
            importlib.import_module("unfold.overrides")
        super().ready()
