"""What a script can tell the fake to do: small values, made by the functions below.

    gemini.replies(error("per_day"), answer("pong"))     the next two requests
    gemini.replies(answer("one two three", delay=0.05, fault=reset(2)))
    gemini.always(error("invalid_key"), key="AIza...")   every request with this key

Every time is in seconds.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.gemini.errors import BY_STATUS, KINDS

Json = dict[str, Any]
How = Literal["reset", "hang", "end", "bytes", "wire", "babble"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong within an answer, after ``after`` of its events (None: before the headers)."""

    how: How
    after: int | None = None
    data: bytes = b""


def reset(after: int | None = None) -> Fault:
    """Break the connection after so many events; None breaks it before any header."""
    return Fault("reset", after)


def hang(after: int | None = None) -> Fault:
    """Send nothing more after so many events; None never sends the headers."""
    return Fault("hang", after)


def end(after: int) -> Fault:
    """End the stream as if all were well after so many events: no finishReason, no broken connection."""
    return Fault("end", after)


def interim(lines: str = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n", times: int = 1) -> Fault:
    """Send an interim answer (1xx) so many times before the real one."""
    return Fault("wire", None, lines.encode() * times)


def babble(data: bytes = b"\x16\x03\x01 220 ready for mail\r\n\r\n") -> Fault:
    """Answer in something that is not HTTP, and hang up."""
    return Fault("babble", None, data)


def malformed(after: int = 0) -> Fault:
    """Send an event that is not JSON after so many events, then go on."""
    return Fault("bytes", after, b'data: {"candidates": [{"content": {"pa\r\n\r\n')


def huge_line(size: int, after: int = 0) -> Fault:
    """Send one line of ``size`` bytes that never becomes an event after so many events, then go on."""
    return Fault("bytes", after, b"data: " + b"x" * size)


def comment(text: str = "", after: int = 0) -> Fault:
    """Send a comment, as proxies on the way do, after so many events, then go on."""
    return Fault("bytes", after, f": {text}\r\n\r\n".encode())


@dataclass(frozen=True)
class Answer:
    """A 200 answer. A field left None is filled in as the model would.

    ``chunks`` is how many events the text is cut into (None: word by word); ``delay`` runs between two
    events, ``before`` before the headers; ``held`` waits for ``gemini.release()`` before the headers;
    ``drip`` sends the bytes in pieces of that size; ``events`` are sent as they are, in place of all.
    """

    text: str | None = None
    thoughts: str = ""
    finish: str | None = "STOP"
    parts: tuple[Json, ...] = ()
    candidates: int | None = None
    chunks: int | None = None
    delay: float = 0.0
    before: float = 0.0
    held: bool = False
    drip: int = 0
    gzip: bool = False
    usage: Json | None = None
    extra: Json = field(default_factory=dict)
    events: tuple[Any, ...] | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class Error:
    """One of Google's refusals, by its kind in ``errors.KINDS``; ``values`` are ``limit`` and ``retry``."""

    kind: str
    values: Json = field(default_factory=dict)
    before: float = 0.0
    array: bool = False


@dataclass(frozen=True)
class Raw:
    """Any other answer: a status, headers and bytes."""

    status: int = 200
    data: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/html"),)
    before: float = 0.0


Reply = Answer | Error | Raw


def answer(text: str | None = None, **fields: Any) -> Answer:
    """Answer with ``text`` (None: the echo). ``fields`` are those of Answer."""
    return Answer(text, **fields)


def events(*documents: Any, **fields: Any) -> Answer:
    """Send these events and nothing else; a whole answer is the first of them."""
    return Answer(events=documents, **fields)


def blocked(category: str = "PROHIBITED_CONTENT", **fields: Any) -> Answer:
    """Block the prompt: no candidate, ``promptFeedback`` with the category."""
    feedback = {"blockReason": category}
    usage = {"promptTokenCount": 7, "totalTokenCount": 7}
    return events({"promptFeedback": feedback, "usageMetadata": usage, "modelVersion": "gemini"}, **fields)


def withheld(category: str = "SAFETY", text: str = "", **fields: Any) -> Answer:
    """Withhold the answer with a finishReason, after ``text`` has come (none, as a rule)."""
    return Answer(text, finish=category, **fields)


def empty(finish: str = "STOP", **fields: Any) -> Answer:
    """Answer well, without a word."""
    return Answer("", finish=finish, **fields)


def truncated(thought_tokens: int = 300, **fields: Any) -> Answer:
    """Spend every token on thoughts: MAX_TOKENS and no text."""
    usage = {"promptTokenCount": 7, "thoughtsTokenCount": thought_tokens, "totalTokenCount": 7 + thought_tokens}
    return Answer("", finish="MAX_TOKENS", usage=usage, **fields)


def error(kind: str, *, before: float = 0.0, array: bool = False, **values: Any) -> Error:
    """Refuse as Google does; ``array`` wraps the body in a list, as some of its doors do."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of error; there are {', '.join(KINDS)}.")
    return Error(kind, values, before, array)


def html(status: int = 502, before: float = 0.0) -> Raw:
    """Answer with a web page, as a broken proxy on the way does."""
    return Raw(status, b"<html><title>Error %d</title><body>Bad Gateway</body></html>" % status, before=before)


def redirect(location: str, status: int = 302) -> Raw:
    """Send the client elsewhere."""
    return Raw(status, b"", (("location", location),))


def bomb(megabytes: int = 200) -> Raw:
    """Answer with a small compressed body that unpacks to a large one, though no compression was asked for."""
    headers = (("content-type", "application/json; charset=UTF-8"), ("content-encoding", "gzip"))
    return Raw(200, gzip.compress(b"[" + b" " * (megabytes * 2**20)), headers)


def garbage(data: bytes = b"\x00\xff not JSON at all", status: int = 200) -> Raw:
    """Answer with bytes that mean nothing, under a JSON content type."""
    return Raw(status, data, (("content-type", "application/json; charset=UTF-8"),))


def reply_of(value: Reply | Fault | str | int) -> Reply:
    """Return the reply a short form stands for: a text is an answer, a status an error, a fault a faulty echo."""
    match value:
        case str():
            return Answer(value)
        case int():
            return error(BY_STATUS[value])
        case Fault():
            return Answer(fault=value)
        case _:
            return value


class Script:
    """Replies in the order they were given, for all requests, or for those of one key or one model."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str | None, str | None], list[Reply]] = {}
        self._standing: dict[tuple[str | None, str | None], Reply] = {}

    def queue(self, replies: Iterable[Reply | Fault | str | int], key: str | None, model: str | None) -> None:
        """Append replies for the requests to come."""
        self._queues.setdefault((key, model), []).extend(reply_of(reply) for reply in replies)

    def stand(self, reply: Reply | Fault | str | int, key: str | None, model: str | None) -> None:
        """Set the reply for every request that finds nothing queued."""
        self._standing[key, model] = reply_of(reply)

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._standing.clear()

    @property
    def left(self) -> int:
        """How many queued replies nobody has asked for yet."""
        return sum(len(queue) for queue in self._queues.values())

    def next(self, key: str, model: str) -> Reply:
        """Take the reply for a request: the narrowest queue first, then what stands, then the echo."""
        scopes: list[tuple[str | None, str | None]] = [(key, model), (key, None), (None, model), (None, None)]
        for scope in scopes:
            if queue := self._queues.get(scope):
                return queue.pop(0)
        return next((self._standing[scope] for scope in scopes if scope in self._standing), Answer())
