"""One HTTP request and its answer: Twisted on one side, ASGI on the other."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from contextvars import Context
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from django.utils.translation import gettext_noop as _
from twisted.web import http

from hajimi_site.addresses import Client
from hajimi_site.crowd import LARGE
from hajimi_site.log_lines import ACCESS_LOGGER
from hajimi_site.shown_path import shown_method, shown_path
from hajimi_site.upgrade import to_websocket
from proxy import api_answers, request_id
from proxy.errors import BadRequest, HajimiError, InternalError, NotReady
from proxy.paths import dialect_of, normalise

if TYPE_CHECKING:
    from hajimi_site.channel import Channel

Message = dict[str, Any]
Head = Iterable[tuple[bytes, bytes]]

# Longer bodies go out in pieces, so that a client that does not read holds up the sender, not our memory.
PIECE: Final = 256 * 1024
BODYLESS: Final = frozenset({204, 304})
REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
DROPPED: Final = frozenset({b"Daphne-Root-Path"})
ODD_BYTES: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
CLIENT_LEFT: Final = 499
ROOM_SECONDS: Final = 5.0
NO_ROOM: Final = _("This server holds too many large requests right now; try again in a moment.")
NOT_A_REASON: Final = re.compile(rb"[^\x20-\x7e]+")

access = logging.getLogger(ACCESS_LOGGER)
logger = logging.getLogger("hajimi.server")

# Twisted's attributes are as many as instances can share the names of; with ours beside them in one dictionary, each
# would have a larger one of its own. (Named here because mypy, which does not read Twisted, takes __slots__ for all.)
SLOTS: Final = (
    "_began",
    "_body",
    "_disconnect_seen",
    "_has_answered",
    "_head",
    "_held",
    "_is_bodyless",
    "_on_gone",
    "_size",
    "client_address",
    "connection",
    "context",
    "server",
    "task",
)


class Exchange(http.Request):  # type: ignore[misc]
    """A request on its way to the application, and the answer on its way back.

    Takes the place of daphne.http_protocol.WebRequest, which parses every body's type with the email package,
    spools bodies to disk, queues them in pieces of 8 KB, writes head and body apart, and stays in the server's
    table for a second after its end.
    """

    __slots__ = SLOTS

    def __init__(self, channel: Channel, queued: object = False) -> None:
        super().__init__(channel, queued=False)
        self.connection = channel
        self.server = channel.server
        self.client_address = ""
        self.task: asyncio.Task[None] | None = None
        # That of the task: what it knows of the request.
        self.context: Context | None = None
        self._began = time.monotonic()
        self._body: bytes | None = None
        self._size = 0
        self._held = 0
        self._head = b""
        self._has_answered = False
        self._disconnect_seen: asyncio.Future[None] | None = None
        self._on_gone: Callable[[], object] | None = None

    # Reading the request

    def parseCookies(self) -> None:  # noqa: N802 - Twisted's name
        """Leave cookies to the application."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Make room for the body; in memory, for MAX_BODY_MB bounds it."""
        self.content: BytesIO | None = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Take a piece of the body; one that grows over the limit, or finds no room, is refused on the way."""
        if self.connection.is_swallowing:
            return
        self._size += len(data)
        if self._size > self.server.limits.body_bytes:
            self.connection.refuse_body()
        elif self._size > LARGE and not self._hold():
            self.connection.refuse_body(NotReady(NO_ROOM, retry_after=ROOM_SECONDS))
        elif self.content is not None:
            self.content.write(data)

    def _hold(self) -> bool:
        """Count what has come of a large body for as long as the request lasts."""
        self._know_client()
        more = self._size - self._held
        if not self.server.crowd.hold(self.client_address, more):
            return False
        self._held += more
        return True

    def _let_go(self) -> None:
        held, self._held = self._held, 0
        if held:
            self.server.crowd.let_go(self.client_address, held)

    @property
    def received(self) -> int:
        """How many bytes of the body have come."""
        return self._size

    def _know_client(self) -> Client:
        client: Client = self.server.edge.client(self.client.host, self.headers())
        self.client_address = client.address
        return client

    def set_request_line(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Note what the first line says."""
        self.method, self.uri, self.clientproto = method, uri, version
        self.path, _mark, self.query = uri.partition(b"?")

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Start the application. Replaces http.Request.requestReceived, which parses forms we never look at."""
        self.set_request_line(command, path, version)
        self._body, self.content = self.content.getvalue() if self.content else b"", None
        if fault := self._fault():
            self.refuse(BadRequest(fault))
        elif self._is_websocket():
            to_websocket(self, self._body)
        else:
            self.server.start(self, self._scope())

    def _fault(self) -> str:
        if not self.uri.isascii():
            return _("The address has characters that must be percent-encoded.")
        for _name, values in self.requestHeaders.getAllRawHeaders():
            if any(ODD_BYTES.search(value) for value in values):
                return _("A header has characters that are not allowed there.")
        return ""

    def _is_websocket(self) -> bool:
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade")
        return bool(upgrade) and upgrade[0].lower() == b"websocket"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the request's headers as ASGI wants them; ambiguous and internal names are dropped."""
        return [
            (name.lower(), value)
            for name, values in self.requestHeaders.getAllRawHeaders()
            if b"_" not in name and name not in DROPPED
            for value in values
        ]

    def _scope(self) -> Message:
        headers = self.headers()
        client = self._know_client()
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": self.clientproto[5:].decode(),
            "method": self.method.decode(),
            "path": unquote(self.path.decode()),
            "raw_path": self.path,
            "root_path": "",
            "scheme": client.scheme,
            "query_string": self.query,
            "headers": headers,
            "client": [client.address, self.client.port],
            "server": [self.host.host, self.host.port],
            "extensions": {"hajimi.gone": self.when_gone},
        }

    # What the application is given

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the client hangs up before the answer is complete."""
        self._on_gone = callback

    async def receive(self) -> Message:
        """Return the body, whole; then wait until the exchange is over."""
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.is_over:
            self._disconnect_seen = self._disconnect_seen or self.server.loop.create_future()
            await asyncio.shield(self._disconnect_seen)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the answer. Returns when the client has room for more."""
        body = message.get("body", b"")
        if len(body) > PIECE:
            await self._send_pieces(body, message)
            return
        self.reply(message)
        if self.transport.waiting:
            await self.connection.room()

    async def _send_pieces(self, body: bytes, message: Message) -> None:
        for start in range(0, len(body), PIECE):
            more = start + PIECE < len(body) or message.get("more_body", False)
            self.reply({"type": message["type"], "body": body[start : start + PIECE], "more_body": more})
            await self.connection.room()

    @property
    def is_over(self) -> bool:
        """True once the answer is complete or the client has gone."""
        return bool(self.finished or self._disconnected)

    # Writing the answer

    def reply(self, message: Message) -> None:
        """Put a message of the answer on the wire; dropped when nobody is there any more."""
        if self.finished or self._disconnected:
            return
        if message["type"] == "http.response.body":
            if not self._has_answered:
                raise ValueError("The application sent a body before the head of its answer.")
            self._put(message.get("body", b""), last=not message.get("more_body", False))
        elif message["type"] == "http.response.start":
            if self._has_answered:
                raise ValueError("The application began its answer twice.")
            self._begin(message["status"], message.get("headers", ()), message.get("reason"))
            # If no body follows in this turn of the loop, the head goes alone.
            self.server.loop.call_soon(self._put_head)

    def _begin(self, status: int, headers: Head, reason: bytes | None = None) -> None:
        lines, has_length = [], False
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            has_length = has_length or name.lower() == b"content-length"
        self.code = status
        self._is_bodyless = self.method == b"HEAD" or status in BODYLESS
        lines += self._framing(has_length)
        fields = b"".join(lines)
        if fields.count(b"\n") != len(lines) or fields.count(b"\r") != len(lines):
            raise ValueError("A header of the answer holds a line break.")
        phrase = NOT_A_REASON.sub(b"", reason) if reason else REASONS.get(status, b"Unknown")
        self._head = b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, phrase, fields, _date(int(time.time())))
        self._has_answered = True

    def _framing(self, has_length: bool) -> list[bytes]:
        """Return the header lines that say where the body ends and whether the connection goes on."""
        lines = []
        if not has_length and not self._is_bodyless:
            if self.clientproto == b"HTTP/1.1":
                self.chunked = 1
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.connection.persistent = False
        if not self.connection.persistent:
            lines.append(b"connection: close\r\n")
        return lines

    def _put_head(self) -> None:
        if self._head and not self.is_over:
            head, self._head = self._head, b""
            self.transport.write(head)

    def _put(self, body: bytes, *, last: bool) -> None:
        data, self._head = self._head, b""
        if body and not self._is_bodyless:
            self.sentLength += len(body)
            data += b"%x\r\n%b\r\n" % (len(body), body) if self.chunked else body
        if last and self.chunked:
            data += b"0\r\n\r\n"
        if data:
            self.transport.write(data)
        if last:
            self.finish()

    def refuse(self, error: HajimiError, *, is_read_whole: bool = True) -> None:
        """Answer an error without asking the application.

        Before the request ``is_read_whole`` the connection cannot go on; the caller closes it.
        """
        if self._has_answered or self.is_over:
            return
        number = request_id.new(time.time())
        path = unquote(self.path.decode("ascii", "replace"))
        answer = api_answers.refusal(error, number, dialect_of(normalise(path)))
        self.client_address = self.client_address or self.client.host
        self._begin(error.status, api_answers.head(answer), answer.reason_phrase.encode("ascii", "ignore"))
        self._put(answer.content, last=is_read_whole)
        if not is_read_whole:
            self.finished = 1
            self._log()
            self._let_go()

    def finish(self) -> None:
        """The answer is complete. Replaces http.Request.finish, which writes head and last chunk apart."""
        self.finished = 1
        self._log()
        self._tell(None)
        if self.task is None:
            self._let_go()
        self._cleanup()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """The client has gone before the answer was complete."""
        super().connectionLost(reason)
        if self.task is None:
            self._let_go()
        if self.path is not None and not self.finished:
            self._log()
            self._tell(self._on_gone)

    def _tell(self, callback: Callable[[], object] | None) -> None:
        """Wake whoever waits for the end of the exchange."""
        self._on_gone = None
        if self._disconnect_seen is not None and not self._disconnect_seen.done():
            self._disconnect_seen.set_result(None)
        if callback is not None:
            callback()

    def leave(self) -> None:
        """Tell the application that the client has gone, true or not: it must end."""
        self._tell(self._on_gone)

    def application_ended(self, task: asyncio.Task[None]) -> None:
        """Look at what the application left: an error is logged, an answer it did not complete is cut visibly."""
        self.server.exchanges.discard(self)
        self.server.crowd.leave(self.server.crowd.requests, self.client_address)
        self._let_go()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("The application failed on %s", shown_path(self.path.decode()), exc_info=error)
        if self.is_over:
            return
        if self._has_answered:
            self.transport.abortConnection()
        else:
            self.refuse(InternalError(_("Something went wrong in this server.")))

    def _log(self) -> None:
        access.info(
            "%s %s %s %.0fms %sB %s",
            shown_method(self.method.decode("ascii", "replace")),
            shown_path(self.path.decode("ascii", "replace")),
            self.code if self._has_answered else CLIENT_LEFT,
            (time.monotonic() - self._began) * 1000,
            self.sentLength,
            self.client_address,
            extra={"request_number": self.context.get(request_id.current, 0) if self.context is not None else 0},
        )


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode()
