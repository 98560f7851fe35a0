"""Google's messages may quote a request: whatever they say of a conversation is taken out again. Pure."""

from __future__ import annotations

from typing import Final

from keys.masking import MASK

# Shorter pieces say nothing of a conversation, and stand in both by chance ("generateContent").
SHORTEST: Final = 12
_STEP: Final = 4
# A message quotes what is near an end of the body, if anything; a whole picture need not be looked through.
_LOOKED_AT: Final = 2**19


def unsaid(message: str, body: bytes) -> str:
    """Return ``message`` with every piece of it that stands in the request's ``body`` replaced by ***."""
    if len(body) > 2 * _LOOKED_AT:
        body = body[:_LOOKED_AT] + body[-_LOOKED_AT:]
    start = 0
    while start + SHORTEST <= len(message):
        if message[start : start + SHORTEST].encode() not in body:
            start += _STEP
            continue
        first, last = _widened(message, start, body)
        message = message[:first] + MASK + message[last:]
        start = first + len(MASK)
    return message


def _widened(message: str, start: int, body: bytes) -> tuple[int, int]:
    """Return the longest piece around ``start`` that stands in ``body``."""
    first, last = start, start + SHORTEST
    while last < len(message) and message[first : last + 1].encode() in body:
        last += 1
    while first > 0 and message[first - 1 : last].encode() in body:
        first -= 1
    return first, last
