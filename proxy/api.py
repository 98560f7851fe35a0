"""The door of the API: Django's requests and async views, without middleware, threads or signals per request."""

from __future__ import annotations

from typing import Final

from proxy import refusals
from proxy.api_answers import EventStream
from proxy.api_call import Call, Receive, Send
from proxy.api_request import ApiRequest, House, Message
from proxy.cors import Cors
from proxy.errors import NotReady
from proxy.routing import Routes, Table

__all__ = ["ApiHandler", "ApiRequest", "EventStream", "House"]

RESTART_SECONDS: Final = 5.0


class ApiHandler:
    """The ASGI application of the API.

    ``routes`` maps normalised paths to methods to async views (proxy.routing). A view runs in the request's own
    task, which is cancelled when the client hangs up. ``origins`` are the web pages that may call, () for all.
    """

    def __init__(self, house: House, routes: Routes, *, origins: tuple[str, ...] = (), body_bytes: int = 2**25) -> None:
        self._house = house
        self._table = Table(routes)
        self._cors = Cors(origins)
        self._body_bytes = body_bytes
        self._calls: set[Call] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        call = Call(self._house, self._table, self._cors, self._body_bytes, scope, receive, send)
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)

    @property
    def running(self) -> int:
        """How many requests are being served."""
        return len(self._calls)

    def end_all(self) -> None:
        """End every running answer in its client's own words: an error, or an error event and the stream's end."""
        for call in list(self._calls):
            call.end(NotReady(refusals.STOPPING, retry_after=RESTART_SECONDS))
