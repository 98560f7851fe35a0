"""The doors: API paths, health, static files, websockets; everything else is Django's."""

from __future__ import annotations

import os
from typing import Any

import django
from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer
from django.apps import apps
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
if not apps.ready:
    # Another ASGI server has imported this module first.
    django.setup()

from hajimi_site import health, known_addresses, shown_path, static_files, websockets
from hajimi_site.hosts import PageHandler
from hajimi_site.household import Household
from proxy.api import ApiHandler
from proxy.api_urls import ROUTES
from proxy.dashboard.hub import Hub
from proxy.paths import is_api


class Doors:
    """The one ASGI application. ``start`` builds the house behind it, ``stop`` takes it down."""

    def __init__(self) -> None:
        self._household = Household()

    async def start(self) -> None:
        """Get everything ready to serve. Raises django.db's errors."""
        shown_path.know(known_addresses.words())
        self.house = await self._household.start()
        self._dashboard = Hub(self.house, layer=_layer())
        self._dashboard.start()
        self._api = ApiHandler(self.house, ROUTES, origins=settings.ALLOWED_ORIGINS, body_bytes=settings.MAX_BODY_BYTES)
        sharing = self._household.sharing
        self._health = health.Health(self.house, sharing.fault if sharing else None)
        self._static = static_files.build()
        self._websockets = websockets.build()
        self._pages = PageHandler()

    def begin_drain(self) -> None:
        """Be unready from now on."""
        self.house.draining = True
        self.house.ready = False

    def end_all(self) -> None:
        """End every running answer of the API in its client's own words."""
        self.house.relay.is_ending = True
        self._api.end_all()

    async def stop(self) -> None:
        """Write and close everything; nothing when it never started."""
        if hasattr(self, "house"):
            await self._dashboard.stop()
            await self._household.stop()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Lead a request, a websocket, or another server's start and end to its door."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._websockets({**scope, "dashboard": self._dashboard}, receive, send)
        elif is_api(path := scope["path"]):
            await self._api(scope, receive, send)
        elif path in health.PATHS:
            await self._health(scope, receive, send)
        elif path.startswith(settings.STATIC_URL):
            await self._static(scope, receive, send)
        else:
            pages = {**scope, "house": self.house, "dashboard": self._dashboard, "counts": self._household.counts}
            await self._pages(pages, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        """Follow the start and end of another ASGI server."""
        await receive()
        try:
            await self.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.begin_drain()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _layer() -> BaseChannelLayer | None:
    """Return what leads to this installation's other processes, if that can be."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


application = Doors()
