"""One request of the API on its way: body in, view asked, answer out, cancelled when the client hangs up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_noop as _

from keys.redacting import redact
from proxy import refusals, request_id
from proxy.api_answers import EventStream, head, last_words, refusal
from proxy.api_request import ApiRequest, House, Message
from proxy.cors import Cors
from proxy.errors import (
    BadRequest,
    BodyTooLarge,
    EncodedBody,
    HajimiError,
    InternalError,
    MethodNotAllowed,
    Quoted,
    UnknownPath,
)
from proxy.heartbeat import Heartbeat
from proxy.journal import Record
from proxy.paths import Dialect, dialect_of, models_dialect, normalise
from proxy.routing import Table, Views

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NOTHING_HERE: Final = _('This address ("%(path)s") is not part of the API, which begins at /v1.')
OTHER_METHOD: Final = _("This address takes %(methods)s only.")
ENCODED: Final = _("A compressed request body is not understood; send it without Content-Encoding.")
TOO_LARGE: Final = _("The request body is larger than the %(limit)s MB that this server takes (MAX_BODY_MB).")
NOT_UTF8: Final = _("The query of the address is not valid UTF-8.")

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Call:
    """One request being served: its view runs in the task of ``run``."""

    house: House
    table: Table
    cors: Cors
    body_bytes: int
    scope: Message
    receive: Receive
    send: Send
    number: int = field(default_factory=lambda: request_id.new(time.time()))
    request: ApiRequest | None = None
    ending: HajimiError | None = None
    is_gone: bool = False
    is_answering: bool = False
    _task: asyncio.Task[Any] | None = None
    _listener: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Ask the view and send its answer."""
        request_id.current.set(self.number)
        self._task = asyncio.current_task()
        try:
            await self._answer(await self._respond())
        except asyncio.CancelledError:
            if not self.is_gone:
                raise
        finally:
            if self._listener is not None:
                self._listener.cancel()
            if self.request is not None and self.request.tape is not None:
                self.house.recorder.keep(self.request.tape)

    def end(self, error: HajimiError) -> None:
        """Let the answer end with ``error``; one that is already being sent whole goes on."""
        if not (self.is_gone or self.ending or self.is_answering):
            self.ending = error
            self._cancel()

    def _leave(self) -> None:
        """The client has gone."""
        if not (self.is_gone or self.ending):
            self.is_gone = True
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self, cancelled: asyncio.CancelledError) -> HajimiError:
        """Return what ends the answer, the cancellation that brought it settled; raise one that is not ours."""
        if self.ending is None or self._task is None:
            raise cancelled
        self._task.uncancel()
        return self.ending

    # Asking

    async def _respond(self) -> HttpResponseBase:
        """Return the answer, whatever happens."""
        try:
            return await self._ask()
        except HajimiError as error:
            return self._refusal(error)
        except asyncio.CancelledError as cancelled:
            return self._refusal(self._ended(cancelled))
        except Exception:
            return self._refusal(self._our_fault())

    async def _ask(self) -> HttpResponseBase:
        body = await self._body()
        self._watch_client()
        headers = dict(self.scope["headers"])
        if headers.get(b"content-encoding", b"identity") not in {b"", b"identity"}:
            raise EncodedBody(ENCODED)
        views, arguments = self._views()
        method = self.scope["method"]
        if method == "OPTIONS":
            return self._options(headers, views)
        view = views.get("GET" if method == "HEAD" else method)
        if view is None:
            raise MethodNotAllowed(OTHER_METHOD, {"methods": _methods(views)})
        self.request = self._request(body)
        return await view(self.request, **arguments)

    def _views(self) -> tuple[Views, dict[str, Any]]:
        found = self.table.find(self._path)
        if found is None:
            raise UnknownPath(NOTHING_HERE, {"path": Quoted(self.scope["path"][:200])})
        return found

    @property
    def _path(self) -> str:
        return normalise(self.scope["path"])

    async def _body(self) -> bytes:
        pieces, size, more = [], 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.is_gone = True
                raise asyncio.CancelledError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self.body_bytes:
                raise BodyTooLarge(TOO_LARGE, {"limit": f"{self.body_bytes / 2**20:g}"})
            more = message.get("more_body", False)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _request(self, body: bytes) -> ApiRequest:
        try:
            return ApiRequest(self.scope, body, self.house, self.number)
        except UnicodeDecodeError:
            raise BadRequest(NOT_UTF8) from None

    def _watch_client(self) -> None:
        """Be cancelled when the client hangs up: our server calls back, others need a task that listens."""
        call_back = self.scope.get("extensions", {}).get("hajimi.gone")
        if call_back is not None:
            call_back(self._leave)
        else:
            self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _options(self, headers: dict[bytes, bytes], views: Views) -> HttpResponse:
        answer = HttpResponse(status=204)
        origin = headers.get(b"origin", b"").decode("latin-1")
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1")
        answer["allow"] = _methods(views)
        for name, value in self.cors.preflight(origin, _methods(views), asked).items():
            answer[name] = value
        return answer

    # Refusing

    @property
    def _dialect(self) -> Dialect:
        path = self._path
        if self.request is not None and (path == "/v1/models" or path.startswith("/v1/models/")) and ":" not in path:
            headers = self.request.headers
            return models_dialect(
                anthropic_version="anthropic-version" in headers,
                google_credential="x-goog-api-key" in headers or "key" in self.request.GET,
                authorization="authorization" in headers,
            )
        return dialect_of(path)

    def _refusal(self, error: HajimiError) -> HttpResponse:
        self._note(error)
        answer = refusal(error, self.number, self._dialect)
        if isinstance(error, MethodNotAllowed):
            answer["allow"] = error.values.get("methods", "")
        return answer

    def _note(self, error: HajimiError) -> None:
        """Let dashboard and log know of a refusal that came before the relay, which tells of its own."""
        if not error.is_noted:
            address = self.scope["client"][0] if self.scope.get("client") else ""
            who = self.request.who if self.request is not None else address
            model = str(error.values.get("model", ""))
            self.house.live.refused(error, who=who, model=model, request_id=self.number, now=time.time())
            self._write_down(error)

    def _write_down(self, error: HajimiError) -> None:
        """Give a member's refused request a row of its own: the error quotes an id, and the admin looks for it.

        Strangers could fill the log. What is not the client's mistake may have come after the relay, which wrote it.
        """
        request = self.request
        if request is None or request.member_id is None or request.method != "POST" or error.status >= 500:
            return
        if not self.house.journal.is_full:
            self.house.journal.post(_record(request, error, _logged_dialect(self._path, self._dialect)))

    def _our_fault(self) -> InternalError:
        """Log the exception being handled and return what the client is told about it."""
        shown = request_id.shown(self.number)
        logger.exception("Request %s failed", shown)
        return InternalError(refusals.UNEXPECTED)

    # Answering

    async def _answer(self, answer: HttpResponseBase) -> None:
        if self.request is not None and (tape := self.request.tape) is not None:
            tape.status, self.send = answer.status_code, tape.beside(self.send)
        if isinstance(answer, EventStream):
            await self._stream(answer)
            return
        self.is_answering = True
        await self.send(self._start(answer))
        content = answer.content if isinstance(answer, HttpResponse) else b""
        await self.send({"type": "http.response.body", "body": content})

    def _start(self, answer: HttpResponseBase) -> Message:
        headers = head(answer)
        headers += [(name.encode(), value.encode()) for name, value in self._more_headers(answer)]
        start = {"type": "http.response.start", "status": answer.status_code, "headers": headers}
        if answer.status_code >= 400:
            start["reason"] = answer.reason_phrase.encode("ascii", "ignore")
        return start

    def _more_headers(self, answer: HttpResponseBase) -> Iterator[tuple[str, str]]:
        if "x-request-id" not in answer:
            yield "x-request-id", request_id.shown(self.number)
        if self.request is not None:
            yield from self.request.answer_headers.items()
        origin = next((value for name, value in self.scope["headers"] if name == b"origin"), None)
        if origin is not None and "access-control-allow-origin" not in answer:
            yield from self.cors.headers(origin.decode("latin-1")).items()

    async def _stream(self, answer: EventStream) -> None:
        """Send the pieces of a stream as they come; whatever happens, end it in words."""
        goodbye = b""
        beating = None
        try:
            await self.send(self._start(answer))
            if self.request is not None:
                self.request.drop_body()
            if answer.heartbeat is not None:
                beating = Heartbeat(self._beat(answer.heartbeat), answer.heartbeat_seconds)
            await self._send_pieces(answer, beating)
            goodbye = answer.ending()
        except asyncio.CancelledError as cancelled:
            goodbye = last_words(self._ended(cancelled), self.number, self._dialect)
        except Exception:
            goodbye = last_words(self._our_fault(), self.number, self._dialect)
        finally:
            if beating is not None:
                await beating.stop()
            await self._close(answer)
        await self.send({"type": "http.response.body", "body": goodbye})

    async def _send_pieces(self, answer: EventStream, beating: Heartbeat | None) -> None:
        send, time_now = self.send, asyncio.get_running_loop().time
        async for piece in answer.source:
            if beating is None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                continue
            beating.is_busy = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            beating.is_busy = False
            beating.sent = time_now()

    async def _close(self, answer: EventStream) -> None:
        try:
            await answer.source.aclose()
        except Exception:
            # The client still gets a proper end.
            self._our_fault()

    def _beat(self, heartbeat: bytes) -> Callable[[], Awaitable[None]]:
        message = {"type": "http.response.body", "body": heartbeat, "more_body": True}
        return lambda: self.send(message)


def _logged_dialect(path: str, dialect: Dialect) -> str:
    """Return the dialect as the relay writes it into the log."""
    if path.startswith("/v1/responses"):
        return "responses"
    return "gemini" if dialect is Dialect.GOOGLE else str(dialect)


def _record(request: ApiRequest, error: HajimiError, dialect: str) -> Record:
    """Return the row of a request that was refused before anything was tried; no word of the client's but the model."""
    return Record(
        id=request.request_id,
        started_at=datetime.fromtimestamp(request.started, UTC),
        member_id=request.member_id,
        address=request.address,
        dialect=dialect,
        model=redact(str(error.values.get("model", "")))[:120],
        status=error.status,
        code=error.code,
        message=error.reason()[:300],
        duration_ms=round(1000 * (time.time() - request.started)),
    )


def _methods(views: Views) -> str:
    return ", ".join([*views, *(["HEAD"] if "GET" in views else []), "OPTIONS"])
