"""The dashboard's websocket: snapshots out, nothing in."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error

from proxy.dashboard.access import may_watch
from proxy.dashboard.hub import Hub

# Of the codes that are free to use; the page then asks to log in again.
LOGGED_OUT: Final = 4401


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One page that watches. The scope has ``dashboard``, the process's Hub."""

    language = settings.LANGUAGE_CODE
    session_key = ""

    async def connect(self) -> None:
        """Let in whoever may use the admin."""
        self.session_key = self.scope["session"].session_key or ""
        self.language = language_of(self.scope["query_string"])
        try:
            allowed = await may_watch({self.session_key})
        except Error:
            # While the database is away nobody can say who this is.
            allowed = set()
        if not allowed:
            await self.close()
            return
        await self.accept()
        await self._hub.join(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing that a page says matters."""

    async def disconnect(self, code: int) -> None:
        """The page has gone."""
        self._hub.leave(self)

    async def show(self, snapshot: bytes) -> None:
        """Send a snapshot."""
        await self.send(text_data=snapshot.decode())

    async def dismiss(self) -> None:
        """End the watching: the viewer is not logged in any more."""
        await self.close(code=LOGGED_OUT)

    @property
    def _hub(self) -> Hub:
        hub: Hub = self.scope["dashboard"]
        return hub


def language_of(query: bytes) -> Any:
    """Return the language that the page names, or the installation's own."""
    named = parse_qs(query.decode("latin-1")).get("language", [""])[0]
    return named if named in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
