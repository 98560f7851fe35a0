"""Endpoints of the dialects we know that are not served yet: a clear 400 instead of a riddle."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse
from django.utils.translation import gettext_noop as _

from proxy import errors
from proxy.api import ApiRequest
from proxy.errors import Quoted
from proxy.views.entrance import member_of

NOT_SERVED: Final = _("%(path)s is not served here yet; use /v1/chat/completions.")


async def unsupported(request: ApiRequest, **_arguments: Any) -> HttpResponse:
    """Refuse. Raises WrongPassword first, so that nobody learns anything without one."""
    member_of(request)
    raise errors.BadRequest(NOT_SERVED, {"path": Quoted(request.path[:200])}, code="not_supported")
