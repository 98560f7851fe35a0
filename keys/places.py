"""Where requests come from, as limits count it. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """Return what an address is counted by: an IPv4 address, an IPv6 /64, or the text as it is; a place is its own.

    Whoever has one IPv6 address has its whole /64.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
