"""The door of websockets: only from our own pages, with the session of who is logged in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.http.request import validate_host
from django.urls import path, re_path

from hajimi_site.hosts import is_address
from proxy.dashboard.consumers import LiveConsumer
from proxy.dashboard.views import SOCKET_PATH


class OwnPages:
    """Lets a websocket in when its page comes from a host of ours; a browser says so, and cannot lie."""

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
    """Tell whether a page of ``origin`` belongs to this server, asked for as ``host``."""
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not name:
        return False
    if is_address(name):
        return parts.netloc == host
    return validate_host(name, settings.ALLOWED_HOSTS)


def build() -> Any:
    """Return the ASGI application of websockets: the dashboard's; every other one is refused."""
    routes = [
        path(SOCKET_PATH.removeprefix("/"), LiveConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),
    ]
    return OwnPages(SessionMiddlewareStack(URLRouter(routes)))
