"""Lines of the log: one line for each message, and no secret in any of them."""

from __future__ import annotations

import logging

from keys.masking import mask

# What a client sent may stand in a message: without this it could write lines of its own, or colour the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class LogFormatter(logging.Formatter):
    """Formats records; only a traceback may take further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the record's line."""
        line = super().formatMessage(record)
        return line if line.isprintable() else line.translate(_CONTROLS)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, traceback included, with every secret masked."""
        return mask(super().format(record))
