"""Fetches the media that chats link to, from public addresses only, bounded in size, time and number."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from proxy.translation.chat import Inline, Link

MIB: Final = 2**20
PORTS: Final = frozenset({443, 8080})
MOST_LINKS: Final = 16
AT_ONCE: Final = 4
_MOST_ADDRESSES: Final = 4
_LONGEST_URL: Final = 8192
_NOT_IN_URLS: Final = re.compile(r"[\x00-\x20\x7f\\]")
_HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# inet_aton reads 2130706433, 0x7f.1 and 0177.1 as addresses, so a name may not end like a number.
_ENDS_IN_NUMBER: Final = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$")
_UNICAST: Final = ip_network("2000::/3")
# is_global says yes to some of these, or does so in some versions of Python only.
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform address, reachable from inside its machines only
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address
        "3fff::/20",
    )
)
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "hajimi"}

IPAddress = IPv4Address | IPv6Address


class Unfetchable(Exception):
    """A link cannot be fetched. ``place`` says where in the request it stands, ``reason`` completes "because ..."."""

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place}: {reason}")


def _(text: str) -> str:
    return text


BAD_URL: Final = _("it is not a valid https address")
NOT_HTTPS: Final = _("only https addresses are fetched")
USER_INFO: Final = _("addresses with a user name or a password are not fetched")
BAD_PORT: Final = _("only the ports 443 and 8080 are fetched")
NOT_PUBLIC: Final = _("its host has no public address")
UNREACHABLE: Final = _("its host could not be reached")
TOO_SLOW: Final = _("it took too long")
REDIRECTS: Final = _("it redirects, and redirects are not followed")
NOT_OK: Final = _("its host did not answer with status 200")
ENCODED: Final = _("its answer is compressed")
TOO_LARGE: Final = _("it is too large")
BAD_TYPE: Final = _("it is not a PNG, JPEG, WebP, HEIC or HEIF image, a PDF, an MP4, an MP3 or a WAV file")
TOO_MANY: Final = _("one request may link to 16 files")


def is_public(address: IPAddress) -> bool:
    """Return whether an address is an ordinary public one: no private, local, multicast, tunnel or platform address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST:
            return False
    if any(address in network for network in _NEVER):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host name, as the system resolves it. Raises OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached and how. Only tests that fetch from this machine pass one of their own."""

    allowed: Callable[[IPAddress], bool] = is_public
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolve
    ports: frozenset[int] = PORTS
    # Plain http shows and lets change on its way what a chat is about; and much that is inside speaks nothing else.
    schemes: frozenset[str] = frozenset({"https"})
    tls: ssl.SSLContext | None = None


_PUBLIC: Final = Reach()


async def fetch(
    links: Sequence[Link],
    *,
    limit_bytes: int = 10 * MIB,
    total_bytes: int = 20 * MIB,
    seconds: float = 10,
    reach: Reach = _PUBLIC,
) -> dict[str, Inline]:
    """Fetch each linked file once and return them by URL; their type is read from their first bytes.

    A file may have ``limit_bytes``, all together ``total_bytes``, and all of it may take ``seconds``.
    Raises Unfetchable for the first link that cannot be had; then the others are given up too.
    """
    wanted = {link.url: link for link in reversed(links)}
    if len(wanted) > MOST_LINKS:
        raise Unfetchable(list(reversed(wanted.values()))[MOST_LINKS].place, TOO_MANY)
    urls = {link.url: _checked(link, reach) for link in links}
    deadline = asyncio.get_running_loop().time() + seconds
    async with _session(reach) as session:
        visit = _Visit(session, limit_bytes, total_bytes, deadline)
        return await _all(visit, wanted, urls)


async def _all(visit: _Visit, links: Mapping[str, Link], urls: Mapping[str, URL]) -> dict[str, Inline]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(link: Link) -> Inline:
        async with slots:
            return await visit.get(link, urls[link.url])

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {url: group.create_task(one(link)) for url, link in links.items()}
    except* Unfetchable as failures:
        first = failures.exceptions[0]
    else:
        return {url: task.result() for url, task in tasks.items()}
    raise first


def _checked(link: Link, reach: Reach) -> URL:
    """Read the URL once; what is checked here is the very object that is requested."""
    try:
        if len(link.url) > _LONGEST_URL or _NOT_IN_URLS.search(link.url):
            raise ValueError
        url = URL(link.url)
    except ValueError:
        raise Unfetchable(link.place, BAD_URL) from None
    reason = _fault(url, reach)
    if reason:
        raise Unfetchable(link.place, reason)
    return url


def _fault(url: URL, reach: Reach) -> str | None:
    host = url.raw_host
    if url.scheme not in ("http", "https") or not host or "%" in host:
        return BAD_URL
    if url.scheme not in reach.schemes:
        return NOT_HTTPS
    if url.raw_user is not None or url.raw_password is not None:
        return USER_INFO
    if url.port not in reach.ports:
        return BAD_PORT
    try:
        # The connector takes an address as it is, without asking the resolver.
        return None if reach.allowed(ip_address(host)) else NOT_PUBLIC
    except ValueError:
        return None if _HOST_NAME.fullmatch(host) and not _ENDS_IN_NUMBER.search(host) else BAD_URL


class _Resolver(AbstractResolver):
    """Resolves a host once, and gives the connector its addresses only if every one is allowed."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._reach.resolve(host, port)
        if not addresses or not all(self._reach.allowed(ip_address(text)) for text in addresses):
            raise OSError(NOT_PUBLIC)
        return [_pinned(host, text, port) for text in addresses[:_MOST_ADDRESSES]]

    async def close(self) -> None:
        """Do nothing: there is nothing open."""


def _pinned(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def _session(reach: Reach) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=_Resolver(reach), use_dns_cache=False, force_close=True, ssl=reach.tls or True
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        auto_decompress=False,
        trust_env=False,
    )


class _Visit:
    """One request's fetching: its session, and what is left of its bytes and of its time."""

    def __init__(self, session: aiohttp.ClientSession, limit: int, left: int, deadline: float) -> None:
        self._session = session
        self._limit = limit
        self._left = left
        self._deadline = deadline

    async def get(self, link: Link, url: URL) -> Inline:
        """Fetch one file. Raises Unfetchable, naming the link's place."""
        try:
            async with asyncio.timeout_at(self._deadline):
                data = await self._read(link, url)
        except TimeoutError:
            raise Unfetchable(link.place, TOO_SLOW) from None
        except aiohttp.ClientConnectorDNSError:
            raise Unfetchable(link.place, NOT_PUBLIC) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Unfetchable(link.place, UNREACHABLE) from None
        mime = sniff(data)
        if mime is None:
            raise Unfetchable(link.place, BAD_TYPE)
        return Inline(mime, b64encode(data).decode("ascii"), link.detail)

    async def _read(self, link: Link, url: URL) -> bytes:
        async with self._session.get(url, allow_redirects=False) as answer:
            reason = self._refusal(answer)
            if reason:
                raise Unfetchable(link.place, reason)
            data = bytearray()
            async for piece in answer.content.iter_any():
                data += piece
                self._left -= len(piece)
                if len(data) > self._limit or self._left < 0:
                    raise Unfetchable(link.place, TOO_LARGE)
            return bytes(data)

    def _refusal(self, answer: aiohttp.ClientResponse) -> str | None:
        if answer.status in range(300, 400):
            return REDIRECTS
        if answer.status != 200:
            return NOT_OK
        if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            return ENCODED
        if (answer.content_length or 0) > min(self._limit, self._left):
            return TOO_LARGE
        return None


_MAGIC: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb".{4}ftyp(heic|heix|hevc|hevx|heim|heis)", re.DOTALL), "image/heic"),
    (re.compile(rb".{4}ftyp(mif1|msf1)", re.DOTALL), "image/heif"),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb".{4}ftyp(isom|iso[2-9]|mp4[12]|avc1|M4V |dash)", re.DOTALL), "video/mp4"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mp3"),
)


def sniff(data: bytes) -> str | None:
    """Return the media type that a file's first bytes show, or None for one that Gemini does not take."""
    return next((mime for pattern, mime in _MAGIC if pattern.match(data)), None)
