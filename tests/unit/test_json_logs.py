"""LOG_FORMAT=json: one document a line, with the request's id, and no secret."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from hajimi_site.log_lines import JsonFormatter
from proxy import request_id


def formatted(message: str, *values: Any, name: str = "hajimi", error: bool = False) -> dict[str, Any]:
    caught = sys.exc_info() if error else None
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, message, values, caught)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    document: dict[str, Any] = json.loads(line)
    return document


def test_a_line_is_one_document() -> None:
    document = formatted("two\nlines of %s", "text")

    assert document["message"] == "two\nlines of text"
    assert (document["level"], document["logger"]) == ("WARNING", "hajimi")
    assert document["time"].endswith("Z")
    assert isinstance(document["pid"], int)
    assert "request_id" not in document


def test_what_is_said_while_a_request_is_served_carries_its_id() -> None:
    token = request_id.current.set(123456789)
    try:
        assert formatted("hello")["request_id"] == request_id.shown(123456789)
    finally:
        request_id.current.reset(token)


def test_an_access_line_has_fields() -> None:
    line = "%s %s %s %.0fms %sB %s"
    document = formatted(line, "POST", "/v1/chat/completions", 200, 12.3, 597, "127.0.0.1", name="hajimi.access")

    assert document["method"] == "POST"
    assert document["path"] == "/v1/chat/completions"
    assert (document["status"], document["duration_ms"], document["bytes"]) == (200, 12.3, 597)
    assert document["client"] == "127.0.0.1"


def test_tracebacks_are_in_it_and_secrets_are_not() -> None:
    key = "AIzaSyA-1234567890_abcdefghijklmnopqrst"
    try:
        raise ValueError(f"bad key {key}")
    except ValueError:
        document = formatted("failed with %s", key, error=True)

    assert "ValueError" in document["error"]
    assert key not in json.dumps(document)


def test_no_part_of_an_access_line_shows_a_secret() -> None:
    key = "AIzaSyA-1234567890_abcdefghijklmnopqrst"
    document = formatted("%s %s %s %.0fms %sB %s", key, f"/{key}", 200, 1.0, 5, key, name="hajimi.access")

    assert document["message"] == "*** /*** 200 1ms 5B ***"
    assert key not in json.dumps(document)
