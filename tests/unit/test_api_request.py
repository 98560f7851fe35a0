"""A request of the API, as its views read it."""

from __future__ import annotations

import pytest

from proxy.api_request import ApiRequest

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "query_string": b"key=abc&q=%E5%AE%89",
    "scheme": "https",
    "headers": [(b"host", b"x"), (b"authorization", b"Bearer p\xe4"), (b"x-a", b"1"), (b"x-a", b"2")],
    "client": ["192.0.2.7", 4711],
    "server": ["127.0.0.1", 7860],
}


def request(**changes):
    return ApiRequest({**SCOPE, **changes}, b'{"a":1}', None, 7)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_a_header_is_found_in_any_letter_case(name):
    assert request().headers[name] == "Bearer pä"
    assert request().headers.get(name) == "Bearer pä"
    assert name in request().headers


def test_a_header_that_is_missing_is_none():
    assert request().headers.get("x-b") is None
    assert "x-b" not in request().headers


def test_a_header_sent_twice_is_joined():
    assert request().headers["x-a"] == "1,2"


def test_the_query_is_read():
    assert request().GET.dict() == {"key": "abc", "q": "安"}


def test_a_query_that_is_not_utf_8_is_refused():
    with pytest.raises(UnicodeDecodeError):
        request(query_string=b"\xff")


def test_it_is_one_of_django_s_requests():
    one = request()

    assert one.body == b'{"a":1}'
    assert one.is_secure()
    assert one.address == "192.0.2.7"
    assert one.META["REMOTE_ADDR"] == "192.0.2.7"
    assert one.META["HTTP_HOST"] == "x"
