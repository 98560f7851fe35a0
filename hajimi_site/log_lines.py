"""Lines of the log: one line for each message, and no secret in any of them."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from hajimi_site.shown_path import shown_path
from keys.redacting import redact
from proxy import request_id

# What a client sent may stand in a message: without this it could write lines of its own, or colour the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def spare_what_no_line_says() -> None:
    """Let no record look up its thread, its process and its line of code; no format of ours says them."""
    # Python's own advice: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False


@lru_cache(maxsize=2)
def _written(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


class LogFormatter(logging.Formatter):
    """Formats records; only a traceback may take further lines."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Only a person at a terminal sees colours; a file or a log collector would keep their codes.
        self._is_seen = sys.stderr is not None and sys.stderr.isatty()

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the record's line."""
        line = super().formatMessage(record)
        return line if line.isprintable() else line.translate(_CONTROLS)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return when it happened, to the millisecond; each second is written out once."""
        second, milliseconds = divmod(int(record.created * 1000), 1000)
        return f"{_written(second)},{milliseconds:03}"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, traceback included, with every secret masked; in red when it must be seen."""
        if record.name == ACCESS_LOGGER:
            return super().format(_redacted_access(record))
        text = redact(super().format(record))
        return f"\x1b[31m{text}\x1b[0m" if self._is_seen and record.levelno >= logging.WARNING else text


class PathFilter(logging.Filter):
    """Masks the addresses that Django's own messages quote ("Not Found: /..."), as the access line does."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True; change the record."""
        if record.name.startswith("django.") and isinstance(record.args, tuple):
            record.args = tuple(_masked(value) for value in record.args)
        return True


def _masked(value: object) -> object:
    return shown_path(value) if isinstance(value, str) and value.startswith("/") else value


def _redacted_access(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record of an access line, its texts redacted.

    One is written for each request. Its method, path and address are those of many others, so they are looked at once;
    the rest of it is ours, but would make every line another text to look at.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(redact.often(value) if isinstance(value, str) else value for value in record.args)
    return record


ACCESS_LOGGER: Final = "hajimi.access"
# What the values of an access line (hajimi_site.exchange) are.
ACCESS: Final = ("method", "path", "status", "duration_ms", "bytes", "client")


class JsonFormatter(logging.Formatter):
    """Formats each record as one JSON document on one line, every secret masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the document: when, how bad, who says it, what, and of which request."""
        is_access = record.name == ACCESS_LOGGER
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _redacted_access(record).getMessage() if is_access else redact(record.getMessage()),
            "pid": os.getpid(),
        }
        if number := getattr(record, "request_number", 0) or request_id.current.get():
            document["request_id"] = request_id.shown(number)
        if is_access and isinstance(record.args, tuple) and len(record.args) == len(ACCESS):
            document |= dict(zip(ACCESS, record.args, strict=True))
        if record.exc_info:
            document["error"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(document, default=str).decode()


def told(sentence: str, log_format: str, *, level: int = logging.INFO) -> str:
    """Return a sentence of the start, which is for people and so stands alone, as LOG_FORMAT wants it."""
    if log_format != "json":
        return sentence
    return JsonFormatter().format(logging.LogRecord("hajimi", level, "", 0, sentence, None, None))
