"""Sound as Gemini sends it -> the sound that clients play: raw samples, or a WAV file. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from typing import Final

RATE: Final = 24_000
# What a WAV file says of its size while that is not known: players read to the end.
_ENDLESS: Final = 0xFFFF_FFFF
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_RATE: Final = re.compile(r"rate=(\d{4,6})(?!\d)")
_SAMPLE_BYTES: Final = 2


def is_pcm(mime: str) -> bool:
    """Return whether this is bare samples, which need a header to be playable: 16 bit, one channel."""
    return mime.partition(";")[0].strip().lower() in ("audio/l16", "audio/pcm")


def rate_of(mime: str) -> int:
    """Return the samples per second that a mime type names; Gemini's own when it names none."""
    found = _RATE.search(mime)
    return int(found[1]) if found else RATE


def raw(data: str) -> bytes:
    """Return the bytes of base64 text, b"" when it is none."""
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def wav_header(rate: int, length: int | None = None) -> bytes:
    """Return what makes ``length`` bytes of samples a WAV file; None: nobody knows yet how many follow."""
    size = _ENDLESS if length is None else min(length, _ENDLESS - 36)
    whole = _ENDLESS if length is None else size + 36
    return _HEADER.pack(
        *(b"RIFF", whole, b"WAVE", b"fmt ", 16, 1, 1),
        *(rate, rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES),
        *(b"data", size),
    )


def playable(mime: str, data: str) -> tuple[str, str]:
    """Return the mime type and the base64 of sound that any player takes: bare samples get a header."""
    return ("audio/wav", joined([(mime, data)], bare=False)) if is_pcm(mime) else (mime, data)


def joined(pieces: Sequence[tuple[str, str]], *, bare: bool) -> str:
    """Return one sound's pieces (mime type, base64) as base64 of one file; ``bare``: of samples without a header."""
    samples = b"".join(raw(data) for _, data in pieces)
    if pieces and is_pcm(pieces[0][0]) and not bare:
        samples = wav_header(rate_of(pieces[0][0]), len(samples)) + samples
    return base64.b64encode(samples).decode()


class Base64Pieces:
    """Writes bytes as base64 whose pieces, joined, are the base64 of it all."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> str:
        """Return what can be written by now."""
        data = self._rest + data
        border = len(data) - len(data) % 3
        self._rest = data[border:]
        return base64.b64encode(data[:border]).decode()

    def finish(self) -> str:
        """Return the rest."""
        rest, self._rest = self._rest, b""
        return base64.b64encode(rest).decode()
