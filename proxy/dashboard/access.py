"""Who may watch: whoever may use the admin, and only as long as that is so."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from importlib import import_module

from django.conf import settings
from django.contrib import admin, auth
from django.db import connections
from django.http import HttpRequest
from django_otp.middleware import OTPMiddleware


async def may_watch(session_keys: Collection[str]) -> set[str]:
    """Return those sessions whose user may use the admin now. Raises django.db's errors."""
    return await asyncio.to_thread(_allowed, frozenset(session_keys))


def _allowed(session_keys: frozenset[str]) -> set[str]:
    try:
        return {key for key in session_keys if key and _is_allowed(key)}
    finally:
        connections.close_all()


def _is_allowed(session_key: str) -> bool:
    """Read the session anew: its user may have logged out, changed the password, or be staff no more."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    request.user = auth.get_user(request)
    # Whoever has set up a second factor must have brought it.
    allowed: bool = OTPMiddleware(admin.site.has_permission)(request)
    return allowed
