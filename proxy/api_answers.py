"""Answers of the API: errors in the words of each dialect, streams of events, and their headers."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from proxy import request_id
from proxy.errors import HajimiError
from proxy.paths import Dialect
from proxy.sse import HEARTBEAT

JSON: Final = "application/json"
# A browser must not take an answer, which may quote what a client sent, for a page or a script.
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
# Google's name of a status, and Anthropic's type of an error; others are server errors.
GOOGLE_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}
ANTHROPIC_TYPE: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Source(Protocol):
    """The pieces of a stream: an async generator, or an object that is read and closed like one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield pieces of any size."""

    async def aclose(self) -> None:
        """Stop, wherever it is; twice does nothing."""


class EventStream(HttpResponseBase):
    """An answer that comes piece by piece from ``source``, which the API handler closes in every case.

    While it is silent for ``heartbeat_seconds``, ``heartbeat`` is sent (None: nothing). ``ending`` is asked, once
    the source has ended, for what goes out together with the end of the body.
    """

    streaming = True

    def __init__(
        self,
        source: Source,
        *,
        heartbeat: bytes | None = HEARTBEAT,
        heartbeat_seconds: float = 5.0,
        content_type: str = "text/event-stream; charset=utf-8",
        ending: Callable[[], bytes] = bytes,
    ) -> None:
        super().__init__(content_type=content_type)
        self.source = source
        self.ending = ending
        self.heartbeat = heartbeat
        self.heartbeat_seconds = heartbeat_seconds
        self["cache-control"] = "no-cache"
        self["x-accel-buffering"] = "no"


def envelope(error: HajimiError, number: int, dialect: Dialect = Dialect.OPENAI) -> dict[str, Any]:
    """Return what a client of ``dialect`` is told about ``error`` in request ``number``."""
    message = told(error.sentence(), number)
    if dialect is Dialect.GOOGLE:
        status = GOOGLE_STATUS.get(error.status, "INTERNAL")
        return {"error": {"code": error.status, "message": message, "status": status}}
    if dialect is Dialect.ANTHROPIC:
        kind = ANTHROPIC_TYPE.get(error.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": message, "details": {"error_code": error.code}},
            "request_id": request_id.shown(number),
        }
    return {"error": {"message": message, "type": error.type, "param": error.param, "code": error.code}}


def told(sentence: str, number: int) -> str:
    """Return the sentence with the request's id: people quote what they see, and that is often all they see."""
    return f"{sentence} ({request_id.shown(number)})"


def last_words(error: HajimiError, number: int, dialect: Dialect) -> bytes:
    """Return the end of a stream that breaks off with ``error``, so that no client waits for more."""
    data = b"data: %b\n\n" % orjson.dumps(envelope(error, number, dialect))
    if dialect is Dialect.ANTHROPIC:
        return b"event: error\n" + data
    return data + b"data: [DONE]\n\n" if dialect is Dialect.OPENAI else data


def refusal(error: HajimiError, number: int, dialect: Dialect) -> HttpResponse:
    """Return the whole answer for ``error``: envelope, reason phrase, when to try again."""
    answer = answer_json(envelope(error, number, dialect), error.status)
    answer.reason_phrase = told(error.reason(), number)
    answer["x-request-id"] = request_id.shown(number)
    if error.is_final:
        answer["x-should-retry"] = "false"
    if error.retry_after is not None:
        answer["retry-after"] = str(max(math.ceil(error.retry_after), 1))
    return answer


def answer_json(content: object, status: int = 200) -> HttpResponse:
    """Return ``content`` as a JSON answer."""
    return HttpResponse(orjson.dumps(content), status=status, content_type=JSON)


def head(answer: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    """Return the headers of ``answer`` as ASGI wants them, with NOSNIFF, and its length when that is known."""
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in answer.items()]
    headers.append(NOSNIFF)
    if isinstance(answer, HttpResponse):
        headers.append((b"content-length", b"%d" % len(answer.content)))
    return headers
