"""Server-sent events: bytes -> the JSON events they carry, and the comment that keeps a stream alive. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

HEARTBEAT: Final[bytes] = b": keep-alive\n\n"
_LIMIT: Final = 64 * 1024 * 1024
_LEAD, _TRAIL = rb"u[dD][89abAB][0-9a-fA-F]{2}", rb"u[dD][c-fC-F][0-9a-fA-F]{2}"
# What follows a backslash: a whole pair, half a pair, or anything else.
_ESCAPES: Final = re.compile(rb"\\(?:%b\\%b|(%b|%b)|.)" % (_LEAD, _TRAIL, _LEAD, _TRAIL), re.DOTALL)


class BadEvent(ValueError):
    """An event is not a JSON object, or is larger than the limit."""


class SseDecoder:
    """Turns the bytes of a server-sent event stream into the JSON objects they carry.

    The bytes may be cut anywhere. Lines end with CRLF, LF or CR; comments, field names other than ``data``,
    empty events and ``[DONE]`` are passed over. Each byte is looked at once, however an event is cut.
    ``limit_bytes`` bounds one event and one line.
    """

    def __init__(self, limit_bytes: int = _LIMIT) -> None:
        self._limit = limit_bytes
        self._after_cr = False
        self._line: list[bytes] = []
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._bad: BadEvent | None = None

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the events that these bytes complete.

        Raise BadEvent at the first bad event, and from then on. Good events before it are always returned
        first: the error then waits for the next call.
        """
        if (event := self._alone(data)) is not None:
            return [event]
        return self._decode(self._lines(data))

    def _alone(self, data: bytes) -> dict[str, Any] | None:
        """Return the event if these bytes are one whole event as Gemini writes it: what most reads bring."""
        end = len(data) - 4
        if not (data.startswith(b"data: {") and data.find(b"\r") == end and data.find(b"\n") == end + 1):
            return None
        if not data.endswith(b"\r\n\r\n") or self._line or self._data or self._after_cr or self._bad is not None:
            return None
        if end > self._limit:
            return None
        try:
            return _json_object(data[6:end])
        except BadEvent:
            return None  # Met again on the long way, which knows what to say.

    def finish(self) -> list[dict[str, Any]]:
        """Return the last event if no blank line closed it; raise BadEvent if it is cut or bad."""
        last, self._line = b"".join(self._line), []
        return self._decode([last, b""])

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete, and keep the rest."""
        if self._after_cr and data:
            # The CR has ended the line already; a LF after it belongs to it.
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = None if data.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._line:
            lines[0] = b"".join([*self._line, lines[0]])
            self._line, self._line_size = [], 0
        if rest is not None:
            self._line.append(rest)
            self._line_size += len(rest)
        return lines

    def _decode(self, lines: list[bytes]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if self._bad is None:
            try:
                self._read(lines, events)
            except BadEvent as error:
                self._bad = error
        if self._bad is not None and not events:
            raise self._bad
        return events

    def _read(self, lines: list[bytes], events: list[dict[str, Any]]) -> None:
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._data_size += len(line)
            elif not line and self._data:
                self._close(events)
        self._check_size()

    def _close(self, events: list[dict[str, Any]]) -> None:
        self._check_size()
        # One space after the colon belongs to the frame; JSON does not care about spaces.
        data = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
        self._data, self._data_size = [], 0
        if not data or data.isspace() or data.strip() == b"[DONE]":
            return
        events.append(_json_object(data))

    def _check_size(self) -> None:
        if self._data_size > self._limit or self._line_size > self._limit:
            raise BadEvent(f"An event of the upstream stream is larger than {self._limit} bytes.")


def loads(data: bytes) -> Any:
    """Return the value of JSON text of Gemini's. Raises ValueError when it is none.

    A model may write half of a character; it would be refused for that on every key. It is replaced as usual.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        mended = _ESCAPES.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)
        if mended == data:
            raise
        return orjson.loads(mended)


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        event = loads(data)
    except ValueError as error:
        raise BadEvent("An event of the upstream stream is not JSON.") from error
    if not isinstance(event, dict):
        raise BadEvent("An event of the upstream stream is not a JSON object.")
    return event
