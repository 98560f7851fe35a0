"""The one HTTP client of a process: shared connections, the environment's proxy, no cookies, no redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

CONNECT_SECONDS: Final = 10.0
IDLE_CONNECTION_SECONDS: Final = 60.0
READ_BUFFER: Final = 256 * 1024
# Compression is declined: a reply of 200 KB can unpack to 200 MB.
HEADERS: Final = {"accept-encoding": "identity", "accept": "*/*", "user-agent": "hajimi"}
_EXTENSIONS: Final[dict[str, Any]] = {"timeout": {"connect": CONNECT_SECONDS}}

Read = Callable[[], Awaitable[bytes]]


class _Transport(AiohttpTransport):
    """aiohttp behind httpx's API. A cookie set upstream would travel from one key to the next, so none is kept."""

    def get_client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS, ssl=self.ssl_context)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=READ_BUFFER)


class Wire:
    """Requests to one host. Made once; the session is opened by the first request, inside the running loop.

    What carries chats goes straight to the transport: httpx's client adds a quarter of the work of a request
    (authentication, redirects, cookies), and we want none of it. ``client`` is for everything rare.
    """

    def __init__(self, base_url: str) -> None:
        proxy = _proxy_for(base_url)
        self._transport = _Transport(proxy=httpx.Proxy(proxy) if proxy else None)
        self.client = httpx.AsyncClient(
            transport=self._transport, headers=HEADERS, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS)
        )

    async def post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Send ``body``; return the answer, its body unread. Raises httpx's errors."""
        request = httpx.Request("POST", url, headers=HEADERS | headers, content=body, extensions=_EXTENSIONS)
        response = await self._transport.handle_async_request(request)
        response.request = request
        return response

    @staticmethod
    def reader(response: httpx.Response) -> Read:
        """Return a function that reads what has arrived of the body (raw, at least one byte), or b"" at its end.

        httpx reads through nested generators, which a cancelled request leaves to the garbage collector.
        """
        return cast(AiohttpResponseStream, response.stream)._aiohttp_response.content.readany

    async def aclose(self) -> None:
        """Close every connection."""
        await self.client.aclose()


def _proxy_for(base_url: str) -> str | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for ``base_url``, if any."""
    address = urlsplit(base_url)
    if proxy_bypass(address.netloc):
        return None
    proxies = getproxies_environment()
    return proxies.get(address.scheme) or proxies.get("all")
