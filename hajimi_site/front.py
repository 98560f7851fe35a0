"""What Daphne as we run it does around the application, for servers that do not: true addresses, the access line."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from hajimi_site.addresses import Edge
from hajimi_site.crowd import Crowd
from hajimi_site.log_lines import ACCESS_LOGGER
from hajimi_site.serving import SHUTTING_DOWN, TOO_MANY_AT_ONCE, Application, Message
from hajimi_site.shown_path import shown_method, shown_path
from proxy import api_answers, request_id
from proxy.errors import HajimiError, LimitReached, NotReady
from proxy.paths import dialect_of, normalise

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLIENT_LEFT: Final = 499

access = logging.getLogger(ACCESS_LOGGER)


class Front:
    """An ASGI application in front of ``application``.

    Says who the client is (``edge`` knows whom to believe), drops headers that proxies and CGI read differently, lets
    one address have ``most`` requests at once (0: any number), and writes a line for each request. ``running`` are
    answered now; once ``is_draining`` is set, further ones are refused.
    """

    def __init__(self, application: Application, edge: Edge, most: int = 0) -> None:
        self._application = application
        self._edge = edge
        self._crowd = Crowd(most, 0)
        self.running = 0
        self.is_draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
        peer = scope.get("client") or ("", 0)
        client = self._edge.client(peer[0], headers)
        scope |= {"headers": headers, "client": (client.address, peer[1])}
        if scope["type"] == "http":
            scope["scheme"] = client.scheme
            await self._logged(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _let_in(self, scope: Message, receive: Receive, send: Send) -> None:
        crowd, address = self._crowd, scope["client"][0]
        if self.is_draining:
            await _refuse(NotReady(SHUTTING_DOWN, retry_after=5), scope, send)
            return
        if not crowd.enter(crowd.requests, address):
            await _refuse(LimitReached(TOO_MANY_AT_ONCE, {"limit": crowd.most}, retry_after=1), scope, send)
            return
        self.running += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self.running -= 1
            crowd.leave(crowd.requests, address)

    async def _logged(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        status, size = CLIENT_LEFT, 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._let_in(scope, receive, counting)
        finally:
            access.info(
                "%s %s %s %.0fms %sB %s",
                shown_method(scope["method"]),
                shown_path(scope["raw_path"].decode("ascii", "replace")),
                status,
                (time.monotonic() - began) * 1000,
                size,
                scope["client"][0],
            )


async def _refuse(error: HajimiError, scope: Message, send: Send) -> None:
    answer = api_answers.refusal(error, request_id.new(time.time()), dialect_of(normalise(scope["path"])))
    await send({"type": "http.response.start", "status": error.status, "headers": api_answers.head(answer)})
    await send({"type": "http.response.body", "body": answer.content})
