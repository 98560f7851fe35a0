"""One client connection: what it may send, how long it may take, and when it must read."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_noop as _
from twisted.web import http

from hajimi_site.exchange import Exchange
from proxy.errors import BadRequest, BodyTooLarge, HajimiError

if TYPE_CHECKING:
    from hajimi_site.server import Server

# Above this the sender waits until the client has read everything.
HIGH_WATER: Final = 256 * 1024
# Above this the client is dropped; only senders that cannot wait (websockets) come here.
MOST_WAITING: Final = 8 * 1024 * 1024
SWALLOW_SECONDS: Final = 30.0
# On the average since its head; the slowest of mobile networks is quicker.
LEAST_BYTES_PER_SECOND: Final = 2048
TOO_LARGE: Final = _("The request body is larger than the %(limit)s MB that this server takes (MAX_BODY_MB).")
MALFORMED: Final = _("The request is not valid HTTP.")

# As in Exchange: what is ours stays out of the dictionary of Twisted's attributes.
SLOTS: Final = (
    "_body_began",
    "_heard_at",
    "_may_wait",
    "_room",
    "host",
    "is_swallowing",
    "is_websocket",
    "peer",
    "server",
)


class Channel(http.HTTPChannel):  # type: ignore[misc]
    """Reads the requests of one connection, one after the other.

    A head must be complete within ``idle_seconds`` of connecting (``keep_alive_seconds`` of the last answer), a body
    must not pause longer; ``Server.sweep`` looks after that, so no timer runs per connection.
    """

    __slots__ = SLOTS

    requestFactory = Exchange  # noqa: N815 - Twisted's name
    timeOut = None  # noqa: N815 - Twisted's timer per connection; the sweep replaces it

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.is_websocket = False
        self._may_wait = server.limits.idle_seconds
        self._heard_at = self._body_began = time.monotonic()
        self.is_swallowing = False
        self._room: asyncio.Event | None = None

    def connectionMade(self) -> None:  # noqa: N802
        """Greet a new connection."""
        super().connectionMade()
        self.peer = self.transport.getPeer()
        self.host = self.transport.getHost()
        self.server.channels.add(self)

    def getPeer(self) -> Any:  # noqa: N802
        """Return the peer's address, looked up once per connection."""
        return self.peer

    def getHost(self) -> Any:  # noqa: N802
        """Return our own address, looked up once per connection."""
        return self.host

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """The client has gone: tell whoever waits for it."""
        self.server.forget(self)
        if self._room is not None:
            self._room.set()
        super().connectionLost(reason)

    # Reading

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Parse what came."""
        if self.is_body_coming and not self.is_swallowing:
            self._heard_at = time.monotonic()
        super().dataReceived(data)

    @property
    def is_body_coming(self) -> bool:
        """True between a request's head and the end of its body."""
        return self._transferDecoder is not None and not self.line_mode

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Begin with the body, unless its announced length is over the limit."""
        self._heard_at = self._body_began = time.monotonic()
        self._may_wait = self.server.limits.idle_seconds
        if self.length and self.length > self.server.limits.body_bytes:
            self.refuse_body()
            if self.requests[-1].requestHeaders.hasHeader(b"Expect"):
                # The client asked first and now sends nothing.
                self.loseConnection()
            return
        super().allHeadersReceived()

    def checkPersistence(self, request: Exchange, version: bytes) -> bool:  # noqa: N802
        """Tell whether the connection goes on after this request: not when its process retires."""
        return not self.server.is_retiring and bool(super().checkPersistence(request, version))

    def allContentReceived(self) -> None:  # noqa: N802
        """Hand a whole request over; one that was refused meanwhile ends here."""
        if self.is_swallowing:
            self.loseConnection()
            return
        super().allContentReceived()

    def requestDone(self, request: Exchange) -> None:  # noqa: N802
        """Wait for the next request of this connection, or close it."""
        self._heard_at = time.monotonic()
        self._may_wait = self.server.limits.keep_alive_seconds
        super().requestDone(request)

    def refuse_body(self, error: HajimiError | None = None) -> None:
        """Answer ``error``, or 413, before the body is read, swallow the rest for a while, then close.

        A connection closed with unread bytes is reset, and a client that is still sending would never see the answer.
        """
        if not self.is_swallowing:
            limit = f"{self.server.limits.body_bytes / 2**20:g}"
            self._refuse(error or BodyTooLarge(TOO_LARGE, {"limit": limit}))
            self.is_swallowing = True

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """A line of the head is longer than 16 KB."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        """Replaces HTTPChannel's method of that name, whose answer has no body."""
        self._refuse(BadRequest(MALFORMED))
        self.loseConnection()

    def _refuse(self, error: HajimiError) -> None:
        self.persistent = False
        exchange = self.requests[-1] if self.requests else Exchange(self)
        exchange.set_request_line(*(getattr(self, name, b"") for name in ("_command", "_path", "_version")))
        exchange.refuse(error, is_read_whole=False)

    # Writing

    async def room(self) -> None:
        """Wait while more than HIGH_WATER bytes wait for the client; returns when all are gone, or the client is."""
        if self.transport.waiting <= HIGH_WATER or not self.transport.connected:
            return
        if self._room is None:
            self._room = asyncio.Event()
        self._room.clear()
        await self._room.wait()

    def resumeProducing(self) -> None:  # noqa: N802
        """The client has read everything that was waiting."""
        super().resumeProducing()
        if self._room is not None:
            self._room.set()

    # Looking after

    @property
    def is_idle(self) -> bool:
        """True while no request is being read or answered."""
        return not self._handlingRequest and not self.requests and not self.is_swallowing

    def look_after(self, now: float) -> None:
        """Drop a client that does not read, and one that does not send what it began."""
        waiting = self.transport.waiting
        stalled = waiting and now - self.transport.moved_at > self.server.limits.stall_seconds
        if stalled or waiting > MOST_WAITING:
            self.transport.abortConnection()
        elif self.is_websocket or (self._handlingRequest and not self.is_swallowing):
            return
        elif self._is_trickling(now):
            self.loseConnection()
        elif now - self._heard_at > (SWALLOW_SECONDS if self.is_swallowing else self._may_wait):
            self.transport.abortConnection() if self.is_swallowing else self.loseConnection()

    def _is_trickling(self, now: float) -> bool:
        """Tell whether a body comes byte by byte, never pausing long enough to be dropped for that."""
        if not self.is_body_coming or self.is_swallowing or not self.requests:
            return False
        enough = self._may_wait + self.requests[-1].received / LEAST_BYTES_PER_SECOND
        return bool(now - self._body_began > enough)
