"""The access line says which of our addresses was asked for, and keeps no word that somebody pasted into one."""

from __future__ import annotations

import logging

import pytest

from hajimi_site import known_addresses
from hajimi_site.log_lines import PathFilter
from hajimi_site.shown_path import LONGEST, know, shown_method, shown_path

PASTED = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _known() -> None:
    know(known_addresses.words())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/chat/completions",
        "//v1//chat/completions/",
        "/v1/chat/completions/v1/models",
        "/v1/models/gemini-2.5-flash",
        "/v1/models/models/gemini-2.5-flash",
        "/v1beta/models/gemini-2.5-flash-lite-preview-09-2025:streamGenerateContent",
        "/v1beta/models/gemma-3n-e4b-it:countTokens",
        "/openai/v1/models",
        "/admin/keys/key/12/change/",
        "/admin/proxy/requestlog/7368461234567890123/change/",
        "/admin/password_change/",
        "/admin/dashboard/live",
        "/me/password",
        "/healthz",
        "/metrics",
    ],
)
def test_an_address_of_ours_is_shown(path: str) -> None:
    assert shown_path(path) == path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/{PASTED}", "/***"),
        (f"/v1/{PASTED}/models", "/v1/***/models"),
        (f"/v1/models/{PASTED}", "/v1/models/***"),
        (f"/v1/models/{PASTED}:generateContent", "/v1/models/***"),
        (f"/v1beta/models/gemini-{PASTED}", "/v1beta/models/gemini-***-***"),
        ("/v1/models/1234-5678", "/v1/models/***"),
        ("/v1/models/low-1234", "/v1/models/***"),
        (f"/admin/keys/key/{PASTED}/change/", "/admin/keys/key/***/change/"),
        ("/admin/12345678", "/admin/***"),
        ("/v1/12345678", "/v1/***"),
        (f"/static/{PASTED}.js", "/static/***"),
        (f"/v1/%68{PASTED[1:]}/models", "/v1/***/models"),
        (f"/v1%2F{PASTED}", "/v1/***"),
        ("/v1/models%0ainjected", "/v1/***"),
        ("/v1/\x1b[31mred", "/v1/***"),
    ],
)
def test_whatever_else_stands_there_is_masked(path: str, shown: str) -> None:
    assert shown_path(path) == shown


def test_a_long_address_is_cut() -> None:
    assert len(shown_path("/v1" * 10_000)) == LONGEST


@pytest.mark.parametrize(("method", "shown"), [("GET", "GET"), ("DELETE", "DELETE"), (PASTED, "***"), ("get", "***")])
def test_only_methods_that_exist_are_shown(method: str, shown: str) -> None:
    assert shown_method(method) == shown


def test_what_django_says_of_an_address_is_masked_too() -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 1, "Not Found: %s", (f"/{PASTED}",), None)

    assert PathFilter().filter(record)
    assert record.getMessage() == "Not Found: /***"
