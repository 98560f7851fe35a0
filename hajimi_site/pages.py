"""The status page: what a person who opens the address needs to know, and no secret."""

from __future__ import annotations

import time

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from keys import enrolling, vault
from proxy import catalogue
from proxy.api import House


@never_cache
@require_safe
async def status(request: ASGIRequest) -> HttpResponse:
    """GET /: it runs, how many keys are usable, the address to paste, the models, the way to the admin."""
    house: House = request.scope["house"]
    context = {
        "version": settings.VERSION,
        "base_url": request.build_absolute_uri("/v1"),
        "usable_keys": house.pool.usable(time.time()),
        "models": catalogue.names(house.runtime.current),
        "default_password": enrolling.DEFAULT_PASSWORD if _default_opens(house) else "",
    }
    return render(request, "status.html", context)


def _default_opens(house: House) -> bool:
    return vault.digest(enrolling.DEFAULT_PASSWORD) in house.runtime.current.members


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400; a host name that is not ours is named, with the setting that makes it ours."""
    if isinstance(exception, DisallowedHost):
        name = request.META.get("HTTP_HOST", "")[:100]
        text = _("This server does not know itself as %(name)s. Add the name to ALLOWED_HOSTS.") % {"name": repr(name)}
    else:
        text = _("The request cannot be understood.")
    return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
