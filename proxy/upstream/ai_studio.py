"""How to reach the Gemini API with an AI Studio key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from keys.pool import PoolKey
from proxy.sse import BadEvent, SseDecoder, loads
from proxy.upstream.client import Wire
from proxy.upstream.errors import Cut, Garbled, Refused, Silent, Unreachable, UpstreamError

ERROR_BODY_LIMIT: Final = 64 * 1024
ERROR_BODY_SECONDS: Final = 10.0
ANSWER_LIMIT: Final = 64 * 2**20
# How long the connection of an answer that is whole may stay silent: Google ends it at once.
WHOLE_SECONDS: Final = 2.0
# What these share: the request never reached Google, so no quota was spent.
NO_CONNECTION: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ServerTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
NOT_HTTP: Final = (aiohttp.ClientResponseError, aiohttp.http_exceptions.HttpProcessingError)
FAULTS: Final = (aiohttp.ClientError, OSError, *NOT_HTTP)

Read = Callable[[], Awaitable[bytes]]
Event = dict[str, Any]


class AiStudio:
    """Calls the Gemini API at ``base_url`` over the process's ``wire``."""

    def __init__(self, wire: Wire, base_url: str) -> None:
        self._wire = wire
        self._base_url = base_url.rstrip("/")

    def ask(
        self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: Mapping[str, Any]
    ) -> AiStudioAnswer:
        """Return a call of ``model`` that is not yet sent. The body is made for this way, so ``more`` is not needed."""
        verb = "streamGenerateContent?alt=sse" if stream else method
        url = f"{self._base_url}/v1beta/models/{quote(model, safe='')}:{verb}"
        headers = {"x-goog-api-key": key.secret, "content-type": "application/json"}
        return AiStudioAnswer(self._wire, url, headers, body, stream=stream)


class AiStudioAnswer:
    """One call on its way. An object, not a generator: a cancelled read leaves nothing to the garbage collector."""

    def __init__(self, wire: Wire, url: str, headers: dict[str, str], body: bytes, *, stream: bool) -> None:
        self._wire = wire
        self._request = (url, headers, body)
        self._stream = stream
        self._response: aiohttp.ClientResponse | None = None
        self._events: _Events | None = None
        self._is_over = False

    async def batch(self) -> list[Event]:
        """Return the events of one read (a whole answer: the one), none at the end.

        Raises Refused, Unreachable, Cut or Garbled.
        """
        try:
            if self._events is None:
                return await self._first()
            self._events.check()
            while data := await self._read():
                if events := self._events.feed(data):
                    return events
            return self._events.end()
        except FAULTS as error:
            raise _ours(error) from error

    async def close(self) -> None:
        """Close the call; one that still runs is cancelled upstream."""
        self._is_over = True
        response, self._response = self._response, None
        if response is not None:
            response.close()

    async def _first(self) -> list[Event]:
        if self._is_over:
            return []
        url, headers, body = self._request
        self._response = await self._wire.post(url, headers, body)
        await _check(self._response)
        if self._stream:
            self._events, self._read = _Events(), self._response.content.readany
            return await self.batch()
        self._is_over = True
        return [await _whole(self._response.content.readany)]


def _ours(error: Exception) -> UpstreamError:
    """Return what an error of the HTTP library means to us."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ServerTimeoutError):
        return Silent(name)
    if isinstance(error, NO_CONNECTION):
        return Unreachable(name)
    return Garbled(name) if isinstance(error, NOT_HTTP) else Cut(name)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise Refused(response.status, await _error_body(response.content.readany))
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Garbled("compressed answer")


async def _error_body(read: Read) -> bytes:
    """Read what Google says, in bounded size and time: an error must not take longer than an answer."""
    body = b""
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while len(body) < ERROR_BODY_LIMIT and (data := await read()):
                body += data
    except (TimeoutError, aiohttp.ClientError):
        pass  # What came so far is all there is to judge.
    return body[:ERROR_BODY_LIMIT]


async def _whole(read: Read) -> Event:
    pieces: list[bytes] = []
    size = 0
    while data := await _piece(read, pieces):
        pieces.append(data)
        size += len(data)
        if size > ANSWER_LIMIT:
            raise Garbled("answer too large")
    try:
        event = loads(b"".join(pieces))
    except ValueError as error:
        raise Garbled("answer is not JSON") from error
    if (trouble := _trouble(event)) is not None:
        raise trouble
    return event  # type: ignore[no-any-return]


async def _piece(read: Read, before: list[bytes]) -> bytes:
    """Return the next piece of a document, b"" at its end.

    A connection that breaks or falls silent once the document is whole has ended it, too.
    """
    if not _may_be_whole(before):
        return await read()
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            return await read()
    except FAULTS as error:
        if _is_json(before):
            return b""
        if not isinstance(error, TimeoutError):
            raise
    return await read()


def _may_be_whole(pieces: list[bytes]) -> bool:
    """Tell whether a document may end here, without reading it."""
    last = next((text for piece in reversed(pieces) if (text := piece.rstrip())), b"")
    return last.endswith(b"}")


def _is_json(pieces: list[bytes]) -> bool:
    try:
        loads(b"".join(pieces))
    except ValueError:
        return False
    return True


class _Events:
    """The events of one streamed answer, in batches: what one read brought."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._some_bytes = False
        self._some_events = False
        self._trouble: UpstreamError | None = None

    def check(self) -> None:
        """Raise what was wrong after the events returned last."""
        if self._trouble is not None:
            raise self._trouble

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that one read completes. Raises UpstreamError."""
        self._some_bytes = True
        try:
            return self._good(self._decoder.feed(data))
        except BadEvent as error:
            raise Garbled("event is not JSON") from error

    def end(self) -> list[Event]:
        """Return the last event of an answer that has ended, if no blank line closed it. Raises UpstreamError."""
        try:
            events = self._good(self._decoder.finish())
        except BadEvent as error:
            raise (Cut("ended inside an event") if self._some_events else Garbled("no events")) from error
        if self._some_bytes and not self._some_events:
            raise Garbled("no events")
        return events

    def _good(self, events: list[Any]) -> list[Event]:
        """Return the events before the first bad one; what is wrong with that is raised by the next call."""
        for number, event in enumerate(events):
            if "error" not in event:
                continue
            self._trouble = _trouble(event)
            if self._trouble is not None:
                if not number:
                    raise self._trouble
                return events[:number]
        self._some_events = self._some_events or bool(events)
        return events


def _trouble(event: Any) -> UpstreamError | None:
    """Return what is wrong with an event: Google reports errors inside a stream, too."""
    if not isinstance(event, dict):
        return Garbled("event is not an object")
    error = event.get("error")
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    return Refused(code if isinstance(code, int) and 400 <= code <= 599 else 500, orjson.dumps(event))
