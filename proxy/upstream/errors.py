"""How a call to Google can fail.

UpstreamError
├── Refused       an HTTP status other than 200, or an error event inside a stream
├── Unreachable   no connection: DNS, refused, TLS, proxy
│   └── Silent    nobody answered at all, in the time that a connection may take
├── Cut           the connection broke, or the answer ended before it was whole
└── Garbled       200, but no Gemini answer: HTML, broken JSON, compressed, too large
"""

from __future__ import annotations


class UpstreamError(Exception):
    """A call to Google did not bring an answer. The message holds no key."""


class Refused(UpstreamError):
    """Google answered with an error; ``body`` is at most 64 KiB of what it said."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        super().__init__(f"status {status}")


class Unreachable(UpstreamError):
    """No connection came about."""


class Silent(Unreachable):
    """Nobody answered the wish for a connection: packets are dropped on the way."""


class Cut(UpstreamError):
    """The connection broke while the answer was on its way."""


class Garbled(UpstreamError):
    """The answer is none of Gemini's."""
