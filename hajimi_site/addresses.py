"""Who really sent a request: forwarded headers are believed only from proxies we trust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where the edge of a hosting platform speaks from: loopback, private and carrier-grade ranges.
PLATFORM_EDGE: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
)
FORWARDED_FOR: Final = b"x-forwarded-for"
FORWARDED_PROTO: Final = b"x-forwarded-proto"
HOPS_READ: Final = 20

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Client:
    """The address a request came from, and the scheme its sender sees ("http" or "https")."""

    address: str
    scheme: str


class Edge:
    """The proxies in front of this server.

    ``trusted`` are networks. On a hosting platform (``platform``) its edge is trusted as well, and the public
    scheme is https whatever the edge says.
    """

    def __init__(self, trusted: Sequence[str], *, platform: bool = False) -> None:
        names = (*trusted, *(PLATFORM_EDGE if platform else ()))
        self._networks: tuple[Network, ...] = tuple(ip_network(name, strict=False) for name in names)
        self._platform = platform
        self.trusts = lru_cache(maxsize=4096)(self._trusts)
        # A peer's address is a socket's, never what a client wrote.
        self.peer = lru_cache(maxsize=4096)(plain)

    def client(self, peer: str, headers: Headers) -> Client:
        """Return who is behind the socket's ``peer``: the rightmost forwarded address that is no proxy of ours."""
        address = self.peer(peer)
        if address is None or not self.trusts(address):
            return Client(peer if address is None else str(address), "http")
        headers = list(headers)
        scheme = "https" if self._platform else _scheme(headers)
        return Client(str(self._walk(address, _values(headers, FORWARDED_FOR))), scheme)

    def _walk(self, address: Address, hops: Sequence[str]) -> Address:
        for hop in hops[: -HOPS_READ - 1 : -1]:
            before = plain(hop)
            if before is None:
                # Rubbish, or "unknown": the proxy that wrote it is the last one we know.
                return address
            address = before
            if not self.trusts(address):
                return address
        return address

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def plain(text: str) -> Address | None:
    """Return the address in ``text`` without port, brackets, zone or IPv4-in-IPv6; None when there is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [
        piece
        for name, value in headers
        if name == wanted
        for piece in value.decode("latin-1").split(",")
        if piece.strip()
    ]


def _scheme(headers: Headers) -> str:
    """Return what the nearest proxy says; it writes last."""
    said = _values(headers, FORWARDED_PROTO)
    return "https" if said and said[-1].strip().lower() == "https" else "http"
