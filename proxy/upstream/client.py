"""The one HTTP client of a process: shared connections, the environment's proxies, no cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient
from httpx_aiohttp.transport import AiohttpResponseStream

CONNECT_SECONDS: Final = 10.0
IDLE_CONNECTION_SECONDS: Final = 60.0
READ_BUFFER: Final = 256 * 1024

Read = Callable[[], Awaitable[bytes]]


class _Transport(AiohttpTransport):
    """aiohttp's transport behind httpx's API, with a session and a way of reading as we want them."""

    def get_client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS, ssl=self.ssl_context)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=READ_BUFFER)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        # httpx reads through three nested generators, which a cancelled request leaves to the garbage collector.
        stream = cast(AiohttpResponseStream, response.stream)
        response.extensions["hajimi.read"] = stream._aiohttp_response.content.readany
        return response


class _Client(HttpxAiohttpClient):
    def _init_transport(self, *_args: Any, trust_env: bool = True, **_: Any) -> httpx.AsyncBaseTransport:
        return _Transport(trust_env=trust_env)

    def _init_proxy_transport(
        self, proxy: httpx.Proxy, *_args: Any, trust_env: bool = True, **_: Any
    ) -> httpx.AsyncBaseTransport:
        return _Transport(trust_env=trust_env, proxy=proxy)


def connect() -> httpx.AsyncClient:
    """Return the client for calls to Google. Sessions are opened by the first request, inside the running loop.

    Compression is declined: a reply of 200 KB can unpack to 200 MB. A cookie set upstream would travel from
    one key to the next, so none is taken.
    """
    return _Client(
        headers={"accept-encoding": "identity", "accept": "*/*", "user-agent": "hajimi"},
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
    )


def reader(response: httpx.Response) -> Read:
    """Return a function that reads what has arrived of the body (raw, at least one byte), or b"" at its end."""
    return cast(Read, response.extensions["hajimi.read"])
