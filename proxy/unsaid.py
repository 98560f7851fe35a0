"""Google's messages may quote a request: whatever they say of a conversation is taken out again. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import compress, islice
from typing import Final

from keys.masking import MASK

# In bytes: twelve letters, or four Chinese characters. Shorter pieces say little of a conversation, and stand in both
# by chance ("the model").
SHORTEST: Final = 12
# Each piece of that length holds a block of eight bytes that begins at a multiple of four.
_BLOCK: Final = 8
_STEP: Final = 4
# No model takes more text than this; of more, what is near an end is looked at.
_LOOKED_AT: Final = 2**22
# Hundreds are usual. So many are one piece over and over, and would take too long.
_MOST_PLACES: Final = 2**16
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_LONG: Final = 4096
_ESCAPES: Final = {
    rb"\"": b'"',
    rb"\n": b"\n",
    rb"\t": b"\t",
    rb"\r": b"\r",
    rb"\/": b"/",
    rb"\b": b"\b",
    rb"\f": b"\f",
}


class _TooOftenError(Exception):
    """The message repeats what stands all over the body."""


def unsaid(message: str, body: bytes) -> str:
    """Return ``message`` with every piece of it that stands in the request's ``body`` replaced by ***.

    ``body`` is JSON; a piece may be quoted as it stands there, or as it was before it was escaped.
    """
    quoted = message.encode(errors="replace")
    if len(quoted) < SHORTEST:
        return message
    body = _without_media(body)
    try:
        found = _common(quoted, _plain(body))
        if b"\\" in quoted:
            found |= _common(quoted, body)
    except _TooOftenError:
        return MASK
    starts = [at for at in range(len(quoted)) if quoted[at : at + SHORTEST] in found]
    return _masked(quoted, starts) if starts else message


def _without_media(body: bytes) -> bytes:
    """Return a body that is small enough to be looked through, without pictures and the like if need be."""
    if len(body) <= _LOOKED_AT:
        return body
    body = b'"'.join(piece for piece in body.split(b'"') if len(piece) < _LONG or not _is_base64(piece))
    half = _LOOKED_AT // 2
    return body if len(body) <= _LOOKED_AT else body[:half] + body[-half:]


def _is_base64(piece: bytes) -> bool:
    # Most texts have a space or a character that is no ASCII near their beginning.
    return piece.isascii() and b" " not in piece and not piece.translate(None, _BASE64)


def _plain(body: bytes) -> bytes:
    """Return JSON with its strings as they were before they were escaped."""
    if b"\\" not in body:
        return body
    pieces = body.split(rb"\\")
    for escape, meant in _ESCAPES.items():
        pieces = [piece.replace(escape, meant) for piece in pieces]
    return b"\\".join(pieces)


def _common(quoted: bytes, text: bytes) -> set[bytes]:
    """Return pieces of ``text``, of the shortest length: all that stand in ``quoted`` too, and some more.

    Raises _TooOftenError.
    """
    blocks = {int.from_bytes(quoted[at : at + _BLOCK], sys.byteorder) for at in range(len(quoted) - _BLOCK + 1)}
    places = list(islice(_places(blocks, text), _MOST_PLACES + 1))
    if len(places) > _MOST_PLACES:
        raise _TooOftenError
    around = {text[max(at - _STEP, 0) : at + SHORTEST] for at in places}
    return {piece[at : at + SHORTEST] for piece in around for at in range(len(piece) - SHORTEST + 1)}


def _places(blocks: set[int], text: bytes) -> Iterator[int]:
    """Yield where in ``text``, of the multiples of four, one of the ``blocks`` begins."""
    # Eight bytes are one number here: nothing else of the standard library is as quick.
    for start in (0, _STEP):
        size = (len(text) - start) // _BLOCK * _BLOCK
        numbers = memoryview(text)[start : start + size].cast("Q")
        yield from compress(range(start, start + size, _BLOCK), map(blocks.__contains__, numbers))


def _masked(quoted: bytes, starts: list[int]) -> str:
    """Return a text without the pieces of the shortest length that begin at ``starts`` (ascending)."""
    shown: list[bytes] = []
    end = 0
    for start in starts:
        first = _boundary(quoted, start, -1)
        if first > end or not shown:
            shown += [quoted[end:first], MASK.encode()]
        end = _boundary(quoted, start + SHORTEST, 1)
    return b"".join([*shown, quoted[end:]]).decode()


def _boundary(text: bytes, at: int, step: int) -> int:
    """Return the place nearest to ``at`` in the direction of ``step`` that is not inside a character."""
    while 0 < at < len(text) and text[at] & 0xC0 == 0x80:
        at += step
    return at
