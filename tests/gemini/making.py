"""What the simulated models make beside text: pictures and sound, small, and different for each prompt."""

from __future__ import annotations

import hashlib
import struct
import zlib
from base64 import b64encode
from typing import Any

from tests.gemini.replies import Answer

Json = dict[str, Any]
PCM = "audio/L16;codec=pcm;rate=24000"


def png(prompt: str) -> bytes:
    """Return a picture of one pixel whose colour depends on the prompt."""
    colour = hashlib.sha256(prompt.encode()).digest()[:3]
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" + colour)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*chunks, strict=True)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def samples(text: str) -> bytes:
    """Return a sound, 16 bit and little-endian: as many samples as the text has characters, and their numbers."""
    return b"".join(struct.pack("<h", ord(letter) % 2**15) for letter in text)


def picture_part(prompt: str) -> Json:
    """Return the part that a picture comes in."""
    return {"inlineData": {"mimeType": "image/png", "data": b64encode(png(prompt)).decode()}}


def sound_part(text: str) -> Json:
    """Return the part that sound comes in."""
    return {"inlineData": {"mimeType": PCM, "data": b64encode(samples(text)).decode()}}


def picture(prompt: str = "", text: str = "", **fields: Any) -> Answer:
    """Answer with a picture, after ``text``."""
    return Answer(text, parts=(picture_part(prompt),), **fields)


def sound(text: str = "", **fields: Any) -> Answer:
    """Answer with the sound of ``text``."""
    return Answer("", parts=(sound_part(text),), **fields)


def predictions(*images: str, filtered: str = "") -> Answer:
    """Answer a predict with pictures of these prompts; with why more of them were withheld, if any were."""
    found: list[Json] = [
        {"mimeType": "image/png", "bytesBase64Encoded": b64encode(png(image)).decode()} for image in images
    ]
    found += [{"raiFilteredReason": filtered}] if filtered else []
    return Answer(events=({"predictions": found} if found else {},))
