"""What browsers are told about calling the API."""

from __future__ import annotations

import pytest

from proxy.cors import Cors

PAGE = "https://chat.example"


def test_programs_that_are_no_browser_are_told_nothing():
    assert Cors().headers(None) == {}


def test_any_page_may_call_without_cookies():
    headers = Cors().headers(PAGE)

    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


def test_only_the_pages_named_may_call():
    cors = Cors([PAGE + "/", "https://other.example"])

    assert cors.headers(PAGE)["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in cors.headers("https://evil.example")
    assert cors.headers("https://evil.example")["vary"] == "origin"


def test_a_star_among_the_origins_means_every_page():
    assert Cors(["*"]).headers("https://evil.example")["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("authorization, x-api-key", "authorization, x-api-key"),
        ("", "authorization, content-type"),
        ("x\r\nset-cookie: a", "authorization, content-type"),
        ("x" * 5000, "authorization, content-type"),
    ],
)
def test_a_preflight_allows_the_headers_that_were_asked_for(asked, allowed):
    assert Cors().preflight(PAGE, "POST", asked)["access-control-allow-headers"] == allowed


def test_a_preflight_of_another_page_is_not_a_yes():
    assert "access-control-allow-methods" not in Cors([PAGE]).preflight("https://evil.example", "POST", "")
