"""Gemini's own dialect: events are judged but passed on as they came. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from keys.redacting import redact
from keys.rules import Outcome
from proxy.translation.deltas import Delta, EventDelta
from proxy.translation.judged import Judged
from proxy.translation.usage import Usage

# The client chose its own token limit and reads Google's own words: these are answers to it.
_PASSED_ON: Final = frozenset({Outcome.BLOCKED, Outcome.TRUNCATED})
_CRLF: Final = b"\r\n\r\n"


class NativeTranslator(Judged):
    """Judges events like the Translator, and passes each on unchanged, but for secrets in what Google says of an end.

    A blocked or truncated answer is an answer here, as Google gave it; only an empty one is tried again.
    """

    @property
    def visible(self) -> bool:
        """Whether something came that is an answer to the client."""
        return self._judge.visible or (self._judge.ended and self._judge.outcome() in _PASSED_ON)

    def feed(self, event: object) -> list[Delta]:
        """Return the event. Raises ValueError if it is no JSON object."""
        self._judge.feed(event)
        if not isinstance(event, dict):
            return []
        if "promptFeedback" in event or self.ended:
            _mask_messages(event)
        # The end of an answer that nobody will see is none of its thoughts: another attempt may follow.
        return [EventDelta(event, is_thought=not (self.visible or self.ended))]

    def outcome(self) -> Outcome:
        """Say how the answer ended."""
        return self._judge.outcome()


def _mask_messages(event: dict[str, Any]) -> None:
    """Mask in place what Google says in words about a block or an end: its messages quote the key they are about."""
    candidates = event.get("candidates")
    for place, name in (
        (event.get("promptFeedback"), "blockReasonMessage"),
        *((one, "finishMessage") for one in (candidates if isinstance(candidates, list) else ())),
    ):
        if isinstance(place, dict) and isinstance(place.get(name), str):
            place[name] = redact(place[name])


class PlainTranslator:
    """Passes on the one document of a method that does not generate: a count, an embedding."""

    category = ""
    malformed = ""

    def __init__(self) -> None:
        self.visible = False
        self.usage = Usage()

    @property
    def ended(self) -> bool:
        """Whether the document came."""
        return self.visible

    def feed(self, event: object) -> list[Delta]:
        """Return the document."""
        self.visible = True
        return [EventDelta(event)] if isinstance(event, dict) else []

    def finish(self) -> list[Delta]:
        """Return nothing more."""
        return []

    def outcome(self) -> Outcome:
        """Say how it ended."""
        return Outcome.ANSWERED if self.visible else Outcome.EMPTY


class EventEncoder:
    """Writes events as Google does: server-sent with CRLF (``alt=sse``), or as one JSON array."""

    def __init__(self, *, sse: bool) -> None:
        self._sse = sse
        self._begun = False

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return the events of one batch."""
        return b"".join([self._framed(delta.event) for delta in deltas if isinstance(delta, EventDelta)])

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer; server-sent events just end."""
        if self._sse:
            return b""
        return b"]" if self._begun else b"[]"

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off: Google, too, reports an error as one more event."""
        return self._framed(document) + (b"" if self._sse else b"]")

    def _framed(self, event: dict[str, Any]) -> bytes:
        if self._sse:
            return b"data: " + orjson.dumps(event) + _CRLF
        before, self._begun = (b",\r\n" if self._begun else b"["), True
        return before + orjson.dumps(event)


def only_event(deltas: Iterable[Delta]) -> dict[str, Any]:
    """Return the one event of a whole answer."""
    return next((delta.event for delta in deltas if isinstance(delta, EventDelta)), {})
