"""Who sent a request, behind proxies that may be trusted or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hajimi_site.addresses import Client, Edge, plain

NOBODY = Edge(())
NGINX = Edge(("10.0.0.0/8", "fd00::/8"))
SPACE = Edge((), platform=True)


def forwarded(*values: str, proto: str | None = None) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return headers + ([(b"x-forwarded-proto", proto.encode())] if proto else [])


def test_it_believes_nobody_by_default():
    assert NOBODY.client("127.0.0.1", forwarded("6.6.6.6", proto="https")) == Client("127.0.0.1", "http")


def test_it_ignores_headers_of_a_peer_that_is_no_proxy_of_ours():
    assert NGINX.client("8.8.8.8", forwarded("6.6.6.6", proto="https")) == Client("8.8.8.8", "http")


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
        (["203.0.113.9, unknown"], "10.0.0.2"),
        (["203.0.113.9, <script>, 10.1.1.1"], "10.1.1.1"),
        (["\xff\xfe"], "10.0.0.2"),
        ([""], "10.0.0.2"),
        ([], "10.0.0.2"),
    ],
)
def test_it_walks_the_forwarded_addresses_from_the_right(values, address):
    assert NGINX.client("10.0.0.2", forwarded(*values)).address == address


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("javascript", "http"), ("https, http", "http")],
)
def test_the_scheme_is_what_the_nearest_trusted_proxy_says(proto, scheme):
    assert NGINX.client("10.0.0.2", forwarded(proto=proto)).scheme == scheme


@pytest.mark.parametrize("peer", ["10.16.3.4", "172.17.0.1", "192.168.1.1", "100.64.9.9", "127.0.0.1", "::1"])
def test_on_a_platform_its_edge_is_trusted_and_the_address_is_https(peer):
    headers = forwarded("6.6.6.6, 198.51.100.7, 10.20.30.40", proto="http")

    assert SPACE.client(peer, headers) == Client("198.51.100.7", "https")


def test_on_a_platform_a_stranger_is_not_trusted():
    assert SPACE.client("198.51.100.7", forwarded("6.6.6.6")) == Client("198.51.100.7", "http")


def test_an_ipv4_peer_on_an_ipv6_socket_is_written_as_ipv4():
    assert NOBODY.client("::ffff:192.0.2.1", []).address == "192.0.2.1"


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_header_breaks_it(values):
    headers = [(b"x-forwarded-for", value) for value in values]

    client = NGINX.client("10.0.0.2", headers)

    assert plain(client.address) is not None
