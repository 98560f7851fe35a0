"""How to reach the Gemini API with an AI Studio key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import httpx
import orjson

from proxy.sse import BadEvent, SseDecoder
from proxy.upstream.client import Read, reader
from proxy.upstream.errors import Cut, Garbled, Refused, Unreachable

ERROR_BODY_LIMIT: Final = 64 * 1024
ERROR_BODY_SECONDS: Final = 10.0
ANSWER_LIMIT: Final = 64 * 2**20
# What these share: the request never reached Google, so no quota was spent.
NO_CONNECTION: Final = (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.PoolTimeout)

Event = dict[str, Any]


class AiStudio:
    """Calls the Gemini API at ``base_url`` through the process's ``client``."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def ask(
        self, secret: str, model: str, body: bytes, *, method: str = "generateContent", stream: bool = False
    ) -> AsyncGenerator[list[Event], None]:
        """Ask ``model``; yield the events of each read, or the one event of a whole answer.

        Raises Refused, Unreachable, Cut or Garbled. Close the generator to cancel the call.
        """
        verb = "streamGenerateContent?alt=sse" if stream else method
        url = _url(f"{self._base_url}/v1beta/models/{quote(model, safe='')}:{verb}")
        headers = {"x-goog-api-key": secret, "content-type": "application/json"}
        request = self._client.build_request("POST", url, content=body, headers=headers)
        with _our_errors():
            response = await self._client.send(request, stream=True)
            try:
                await _check(response)
                if not stream:
                    yield [await _whole(reader(response))]
                    return
                events = _Events(reader(response))
                while batch := await events.batch():
                    yield batch
            finally:
                await response.aclose()


@lru_cache(maxsize=512)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except NO_CONNECTION as error:
        raise Unreachable(type(error).__name__) from error
    except httpx.ConnectTimeout as error:
        # The transport names every lost connection so; only a real connector fault means nothing was sent.
        cause = error.__cause__
        never_sent = isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ServerTimeoutError)
        raise (Unreachable if never_sent else Cut)(type(cause or error).__name__) from error
    except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
        raise Cut(type(error).__name__) from error
    except (httpx.InvalidURL, httpx.DecodingError, aiohttp.http_exceptions.HttpProcessingError) as error:
        raise Garbled(type(error).__name__) from error


async def _check(response: httpx.Response) -> None:
    if response.status_code != 200:
        raise Refused(response.status_code, await _error_body(reader(response)))
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
    pieces, size = [], 0
    while data := await read():
        pieces.append(data)
        size += len(data)
        if size > ANSWER_LIMIT:
            raise Garbled("answer too large")
    try:
        event = orjson.loads(b"".join(pieces))
    except orjson.JSONDecodeError as error:
        raise Garbled("answer is not JSON") from error
    return _checked(event)


class _Events:
    """The events of one streamed answer, in batches: what one read brought."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._decoder = SseDecoder()
        self._bytes = 0
        self._events = 0

    async def batch(self) -> list[Event]:
        """Return at least one event, or none at the end of the answer."""
        try:
            while data := await self._read():
                self._bytes += len(data)
                if events := self._decoder.feed(data):
                    return self._counted(events)
        except BadEvent as error:
            raise Garbled("event is not JSON") from error
        return self._counted(self._last())

    def _last(self) -> list[Any]:
        try:
            return self._decoder.finish()
        except BadEvent as error:
            raise (Cut("ended inside an event") if self._events else Garbled("no events")) from error

    def _counted(self, events: list[Any]) -> list[Event]:
        self._events += len(events)
        if self._bytes and not self._events:
            raise Garbled("no events")
        return [_checked(event) for event in events]


def _checked(event: Any) -> Event:
    """Return the event. Google reports errors inside a stream, too: then raise Refused."""
    if not isinstance(event, dict):
        raise Garbled("event is not an object")
    error = event.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
        raise Refused(status, orjson.dumps(event))
    return event
