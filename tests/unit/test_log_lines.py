"""No line of the log holds a secret, and no client writes lines of its own."""

from __future__ import annotations

import io
import logging
import logging.config
import sys

import pytest
from django.conf import settings

from hajimi_site.log_lines import LogFormatter

KEY = "AIzaSyFakeKeyOfTheSimulator-----------A"


def line(message: str, *values: object) -> str:
    record = logging.LogRecord("hajimi", logging.INFO, __file__, 1, message, values, None)
    return LogFormatter("%(levelname)s %(message)s").format(record)


def test_an_ordinary_message_is_one_line_as_it_is() -> None:
    assert line("GET %s 200\t%dms", "/v1/模型", 3) == "INFO GET /v1/模型 200\t3ms"


@pytest.mark.parametrize(
    "secret", [KEY, "ya29.c.b0AXv0zTOr", "Bearer swordfish", "?key=swordfish", "x-api-key: swordfish"]
)
def test_a_secret_is_masked(secret: str) -> None:
    shown = line("refused: %s", f"http://host/{secret}")

    assert "***" in shown
    assert secret.removeprefix("Bearer ").removeprefix("?key=").removeprefix("x-api-key: ") not in shown


def test_what_a_client_sent_cannot_begin_a_line_of_its_own() -> None:
    assert line("model %s", "x\r\nINFO all is well\x1b[31m\u2028\x85") == (
        "INFO model x\\r\\nINFO all is well\\x1b[31m\\u2028\\x85"
    )


def test_a_traceback_keeps_its_lines_and_loses_its_secrets() -> None:
    try:
        raise ValueError(f"could not use {KEY}")
    except ValueError:
        record = logging.LogRecord("hajimi", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())

    text = LogFormatter("%(message)s").format(record)

    assert text.startswith("failed\nTraceback (most recent call last):\n")
    assert KEY not in text


def test_the_server_logs_with_it() -> None:
    handler = logging.config.DictConfigurator(settings.LOGGING).configure_formatter(
        settings.LOGGING["formatters"]["text"]
    )
    stream = logging.StreamHandler(io.StringIO())
    stream.setFormatter(handler)
    stream.emit(logging.LogRecord("hajimi", logging.INFO, __file__, 1, KEY, (), None))

    assert stream.stream.getvalue().endswith("INFO hajimi: ***\n")
