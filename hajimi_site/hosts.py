"""Which names pages may be asked for under: ALLOWED_HOSTS, and any plain address."""

from __future__ import annotations

from ipaddress import ip_address

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http.request import split_domain_port


class PageRequest(ASGIRequest):
    """A request of a page. On a home network people type an address, which no foreign page can point at us."""

    def get_host(self) -> str:
        """Return the host of the request. Raises DisallowedHost for a name that is not ours."""
        raw: str = self._get_raw_host()  # type: ignore[attr-defined]
        return raw if is_address(split_domain_port(raw)[0]) else super().get_host()


class PageHandler(ASGIHandler):
    """Django for the pages."""

    request_class = PageRequest


def is_address(host: str) -> bool:
    """Tell whether ``host`` is an IP address, with or without brackets."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
