"""What may be fetched at all, decided before a single byte is sent."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from proxy import fetching
from proxy.fetching import Reach, Unfetchable, fetch, is_public, sniff
from proxy.translation.chat import Link

PLACE = "messages[0].content[1].image_url.url"
NAMES = {
    "localhost": ["127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "ip6-localhost": ["::1"],
    "inside.example": ["10.1.2.3"],
    "rebind.example": ["93.184.215.14", "127.0.0.1"],
    "mixed.example": ["2606:4700::1111", "fd00:ec2::254"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "scoped.example": ["fe80::1%2"],
    "nothing.example": [],
    "v1.fe80": [],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "xn--bcher-kva.example": ["192.168.1.1"],
    "a_b.example": ["172.16.0.9"],
}

# The threat -> the address that carries it.
HOSTILE = {
    "loopback by address": "https://127.0.0.1/a.png",
    "loopback elsewhere in 127/8": "https://127.8.9.10/a.png",
    "loopback by name": "https://localhost/a.png",
    "loopback by name with a trailing dot": "https://localhost./a.png",
    "loopback by another name": "https://ip6-localhost/",
    "loopback by a public name service": "https://127.0.0.1.nip.io/",
    "loopback in capitals": "HTTPS://LOCALHOST/",
    "address with a trailing dot": "https://127.0.0.1./",
    "whole address as one decimal": "https://2130706433/",
    "whole address as hex": "https://0x7f000001/",
    "whole address as octal": "https://017700000001/",
    "dotted hex": "https://0x7f.0x0.0x0.0x1/",
    "dotted octal": "https://0177.0.0.1/",
    "short form of two": "https://127.1/",
    "short form of three": "https://127.0.1/",
    "last part hex": "https://127.0.0.0x1/",
    "a name that ends in a number": "https://evil.example.0x7f/",
    "leading zeros": "https://127.000.000.001/",
    "number too large": "https://4294967297/",
    "percent-encoded address": "https://%31%32%37.0.0.1/",
    "percent-encoded name": "https://local%68ost/",
    "full-width digits": "https://１２７.０.０.１/",
    "circled digits": "https://①②⑦.⓪.⓪.①/",
    "ideographic full stops": "https://127。0。0。1/",
    "invisible character in a name": "https://local\u200bhost/",
    "unicode name of a private host": "https://bücher.example/",
    "this network": "https://0.0.0.0/",
    "zero as a short form": "https://0/",
    "private class A": "https://10.0.0.1/",
    "private class B": "https://172.16.0.1/",
    "private class C": "https://192.168.0.1/",
    "shared address space": "https://100.64.0.1/",
    "Alibaba's metadata": "https://100.100.100.200/latest/meta-data/",
    "Google's and Amazon's metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata by name": "https://metadata.google.internal/computeMetadata/v1/",
    "Azure's platform address": "https://168.63.129.16/",
    "Oracle's metadata": "https://192.0.0.192/",
    "multicast": "https://224.0.0.1/",
    "broadcast": "https://255.255.255.255/",
    "reserved": "https://240.0.0.1/",
    "documentation": "https://192.0.2.1/",
    "benchmarking": "https://198.18.0.1/",
    "6to4 relay": "https://192.88.99.1/",
    "IPv6 loopback": "https://[::1]/",
    "IPv6 loopback in full": "https://[0:0:0:0:0:0:0:1]:8080/",
    "IPv6 unspecified": "https://[::]/",
    "IPv4-mapped": "https://[::ffff:127.0.0.1]/",
    "IPv4-mapped in hex": "https://[::ffff:7f00:1]/",
    "IPv4-compatible": "https://[::127.0.0.1]/",
    "IPv4-translated": "https://[::ffff:0:7f00:1]/",
    "NAT64": "https://[64:ff9b::7f00:1]/",
    "NAT64, local": "https://[64:ff9b:1::7f00:1]/",
    "6to4": "https://[2002:7f00:1::]/",
    "Teredo": "https://[2001:0:7f00:1::1]/",
    "unique local": "https://[fd00:ec2::254]/",
    "link local": "https://[fe80::1]/",
    "link local with a zone": "https://[fe80::1%25eth0]/",
    "public address with a zone": "https://[2606:4700::1111%25lo]/",
    "IPv6 multicast": "https://[ff02::1]/",
    "IPv6 documentation": "https://[2001:db8::1]/",
    "a future address": "https://[v1.fe80]/",
    "private by name": "https://inside.example/a.png",
    "underscored private name": "https://a_b.example/a.png",
    "one of two addresses is private": "https://rebind.example/a.png",
    "one of two IPv6 addresses is private": "https://mixed.example/a.png",
    "NAT64 by name": "https://nat64.example/",
    "mapped by name": "https://mapped.example/",
    "scoped by name": "https://scoped.example/",
    "a name without addresses": "https://nothing.example/",
    "user name": "https://user@public.example/",
    "user name and password": "https://user:secret@public.example/",
    "host as user name": "https://public.example@127.0.0.1/",
    "two at signs": "https://public.example@public.example@127.0.0.1/",
    "backslash before the host": "https://public.example\\@127.0.0.1/",
    "backslashes as slashes": "https:\\\\127.0.0.1\\a.png",
    "fragment confusion": "https://127.0.0.1#@public.example/",
    "spaces and at signs": "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "ssh port": "https://public.example:22/",
    "redis port": "https://public.example:6379/",
    "port zero": "https://public.example:0/",
    "port out of range": "https://public.example:65616/",
    "two ports": "https://public.example:80:22/",
    "negative port": "https://public.example:-80/",
    "plain http": "http://public.example/a.png",
    "plain http at a public address": "http://93.184.215.14/a.png",
    "plain http in capitals": "HTTP://public.example/a.png",
    "plain http on the port of https": "http://public.example:443/a.png",
    "the port of plain http": "https://public.example:80/a.png",
    "file": "file:///etc/passwd",
    "file on a host": "file://localhost/etc/passwd",
    "ftp": "ftp://public.example/a.png",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict": "dict://127.0.0.1:11211/stat",
    "ldap": "ldap://127.0.0.1/",
    "jar": "jar:https://public.example/a.jar!/",
    "data": "data:image/png;base64,iVBORw0KGgo=",
    "web socket": "ws://public.example/",
    "script": "javascript:alert(1)",
    "scheme-relative": "//public.example/a.png",
    "no scheme": "public.example/a.png",
    "no host": "https:///a.png",
    "one slash": "https:/public.example/a.png",
    "nothing": "",
    "only a scheme": "https://",
    "line break in the path": "https://public.example/a\r\nHost: 127.0.0.1\r\n\r\n",
    "line break in the host": "https://public.example\r\n.evil.example/",
    "tab in the scheme": "ht\ttps://127.0.0.1/",
    "null byte": "https://public.example\x00.evil.example/",
    "leading space": " https://127.0.0.1/",
    "open bracket": "https://[::1/",
    "very long": "https://public.example/" + "a" * 9000,
    "label too long": "https://" + "a" * 300 + ".example/",
}


async def name_server(host: str, port: int) -> Sequence[str]:
    if host not in NAMES:
        # As the system's own resolver, which is handed the name in IDNA.
        host.encode("idna")
        raise AssertionError(f"{host} should not have been asked for")
    return NAMES[host]


def test_the_table_of_hostile_addresses_has_sixty_rows() -> None:
    assert len(set(HOSTILE.values())) == len(HOSTILE) >= 60


@pytest.mark.parametrize("threat", HOSTILE)
async def test_it_never_connects_to(threat: str) -> None:
    reach = Reach(resolve=name_server)

    with pytest.raises(Unfetchable) as caught:
        await fetch([Link(HOSTILE[threat], place=PLACE)], reach=reach, seconds=2)

    assert caught.value.place == PLACE
    assert "127" not in caught.value.reason


@pytest.mark.parametrize("url", ["http://public.example/a.png", "HTTP://93.184.215.14/a.png", "http://127.0.0.1:443/"])
async def test_plain_http_is_refused_with_that_reason_and_nothing_is_asked(url: str) -> None:
    with pytest.raises(Unfetchable) as caught:
        await fetch([Link(url, place=PLACE)], reach=Reach(resolve=name_server))

    assert caught.value.reason == fetching.NOT_HTTPS


async def test_a_hostile_link_stops_the_request_before_any_other_is_contacted() -> None:
    links = [Link("https://unasked.example/a.png", place="a"), Link("https://127.0.0.1/", place="b")]

    with pytest.raises(Unfetchable) as caught:
        await fetch(links, reach=Reach(resolve=name_server))

    assert (caught.value.place, caught.value.reason) == ("b", fetching.NOT_PUBLIC)


async def test_the_seventeenth_link_of_a_request_is_refused() -> None:
    links = [Link(f"https://unasked.example/{number}.png", place=str(number)) for number in range(17)]

    with pytest.raises(Unfetchable) as caught:
        await fetch(links, reach=Reach(resolve=name_server))

    assert (caught.value.place, caught.value.reason) == ("16", fetching.TOO_MANY)


async def test_no_links_cost_nothing() -> None:
    assert await fetch([], reach=Reach(resolve=name_server)) == {}


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"]
)
def test_ordinary_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "fec0::1",
        "4000::1",
        "::8.8.8.8",
    ],
)
def test_special_ipv6_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("start", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"RIFF\x10\n\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypmif1", "image/heif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\0\0\0\nftypisom", "video/mp4"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
        (b"ID3\x04", "audio/mp3"),
        (b"\xff\xfb\x90", "audio/mp3"),
        (b"GIF89a", None),
        (b"<svg xmlns=", None),
        (b"<!doctype html>", None),
        (b"\0\0\0\x18ftypavif", None),
        (b"RIFF\x10\0\0\0AVI ", None),
        (b"", None),
        (b"root:x:0:0", None),
    ],
)
def test_the_type_is_read_from_the_first_bytes(start: bytes, mime: str | None) -> None:
    assert sniff(start) == mime
