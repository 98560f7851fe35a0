"""The one HTTP session of a process: shared connections, the environment's proxy, no cookies, no redirects."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

# Two lost packets more than a good line needs; a firewall that drops them all would keep us for minutes.
CONNECT_SECONDS: Final = 5.0
IDLE_CONNECTION_SECONDS: Final = 60.0
READ_BUFFER: Final = 64 * 1024
# Compression is declined: a reply of 200 KB can unpack to 200 MB.
HEADERS: Final = {"accept-encoding": "identity", "accept": "*/*", "user-agent": "hajimi"}


class _Transport(AiohttpTransport):
    """aiohttp behind httpx's API; both use the one session, opened by the first request, inside the running loop."""

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session. A cookie set upstream would travel from one key to the next, so none is kept."""
        if not isinstance(self.client, aiohttp.ClientSession):
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS, ssl=self.ssl_context)
            self.client = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=HEADERS,
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        return self.client

    def get_client(self) -> aiohttp.ClientSession:
        """Return the session; httpx's side asks so."""
        return self.session


class Wire:
    """Requests to one host.

    Chats go straight to aiohttp's session: httpx's request and response around it cost a fifth of what hajimi itself
    does for a chat, for nothing that a chat needs. ``client`` speaks httpx over the same connections, for what is
    asked rarely.
    """

    def __init__(self, base_url: str) -> None:
        self._proxy = _proxy_for(base_url)
        self._transport = _Transport(proxy=httpx.Proxy(self._proxy) if self._proxy else None)
        self.client = httpx.AsyncClient(
            transport=self._transport, headers=HEADERS, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS)
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> aiohttp.ClientResponse:
        """Send ``body``; return the answer, its body unread, for the caller to close. Raises aiohttp's errors."""
        session = self._transport.session
        return await session.post(url, headers=headers, data=body, allow_redirects=False, proxy=self._proxy)

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
