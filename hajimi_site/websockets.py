"""The door of websockets: only from our own pages, with the session of who is logged in."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.http.request import validate_host
from django.urls import path, re_path
from django.utils.http import is_same_domain

from hajimi_site.hosts import is_address
from proxy.dashboard.consumers import LiveConsumer
from proxy.dashboard.views import SOCKET_PATH

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class OwnPages:
    """Lets a websocket in when its page comes from an origin of ours; a browser says so, and cannot lie."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._refuse = WebsocketDenier.as_asgi()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass on, or refuse with 403."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        application = self._application if is_ours(origin, host) else self._refuse
        return await application(scope, receive, send)


def is_ours(origin: str, host: str) -> bool:
    """Tell whether a page of ``origin`` belongs to this server, asked for as ``host``.

    Another port of the same name is somebody else's, unless CSRF_TRUSTED_ORIGINS names it. The page may be https where
    the request is not: many a proxy ends TLS and tells nothing of it.
    """
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in _DEFAULT_PORTS or not name:
        return False
    if _is_trusted(parts.scheme, parts.netloc):
        return True
    port = _DEFAULT_PORTS[parts.scheme]
    if parts.netloc.removesuffix(port) != host.lower().removesuffix(port):
        return False
    return is_address(name) or validate_host(name, settings.ALLOWED_HOSTS)


def _is_trusted(scheme: str, place: str) -> bool:
    """Tell whether CSRF_TRUSTED_ORIGINS names an origin, as Django reads that list for forms."""
    trusted = (origin.partition("://") for origin in settings.CSRF_TRUSTED_ORIGINS)
    return any(scheme == of and is_same_domain(place, pattern.removeprefix("*")) for of, _, pattern in trusted)


def build() -> Any:
    """Return the ASGI application of websockets: the dashboard's; every other one is refused."""
    routes = [
        path(SOCKET_PATH.removeprefix("/"), LiveConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),
    ]
    return OwnPages(SessionMiddlewareStack(URLRouter(routes)))
