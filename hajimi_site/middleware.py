"""Headers that keep pages safe; async only, so that they cost no thread."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import async_only_middleware

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

# Nothing is loaded from another host, and no script or style stands in a page.
POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {framers}"
)
# The admin's theme is Alpine.js, which compiles what stands in its attributes, and sets styles in place.
ADMIN_POLICY: Final = POLICY + "; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
ADMIN: Final = "/admin/"
# A Space shows its app's first page in a frame of the platform's own site.
FRAMED: Final = frozenset({"/"})
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)


def platform_framers(space_host: str) -> str:
    """Return whose pages may show the first page in a frame: the platform's own site, and this Space's address.

    Other Spaces lie below the same domain; anybody can make one.
    """
    own = f" https://{space_host}" if _HOST.fullmatch(space_host) else ""
    return f"'self' https://huggingface.co{own}"


@async_only_middleware
def security_headers(get_response: GetResponse) -> GetResponse:
    """Add the security headers and a right ``Vary`` to each page; mark cookies secure where it came over https."""
    platform = platform_framers(settings.SPACE_HOST)

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        may_be_framed = request.path in FRAMED
        framers = platform if may_be_framed else "'none'"
        policy = ADMIN_POLICY if request.path.startswith(ADMIN) else POLICY
        response.headers.setdefault("content-security-policy", policy.format(framers=framers))
        response.headers.setdefault("x-content-type-options", "nosniff")
        response.headers.setdefault("referrer-policy", "same-origin")
        if not may_be_framed:
            response.headers.setdefault("x-frame-options", "DENY")
            response.headers.setdefault("cross-origin-opener-policy", "same-origin")
        if "content-language" in response.headers:
            # LocaleMiddleware names the one; who has chosen a language by hand has it in a cookie.
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response

    return middleware
