"""How the address of a request stands in the log: words that we know, nothing of what somebody pasted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from keys.masking import MASK
from proxy.paths import HEADS, VERSIONS

LONGEST: Final = 200
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What models' names begin with, and what they go on with beside numbers; any other piece of one is masked.
FAMILIES: Final = frozenset(
    ("gemini", "gemma", "imagen", "veo", "lyria", "learnlm", "text", "embedding", "aqa", "deep", "nano", "models")
)
MODEL_WORDS: Final = FAMILIES | {
    *("flash", "lite", "pro", "ultra", "banana", "research", "preview", "latest", "exp", "experimental", "stable"),
    *("thinking", "nothinking", "none", "minimal", "low", "medium", "high", "search", "image", "generate", "tts"),
    *("audio", "video", "vision", "native", "dialog", "live", "robotics", "er", "computer", "use", "customtools"),
    *("fast", "it", "multilingual"),
}
_MODEL_NUMBER: Final = re.compile(r"e?\d{1,4}[bn]?|v\d")
_BETWEEN: Final = re.compile(r"([-.:_])")
# In the admin a number is a row's.
_ROW: Final = re.compile(r"\d{1,20}")

_words: set[str] = {"", "openai", "favicon.ico", "robots.txt", *VERSIONS, *HEADS}


def know(words: Iterable[str]) -> None:
    """Show these words, each a whole segment or a piece of one between colons, from now on."""
    _words.update(words)
    shown_path.cache_clear()


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a request's path as it may be logged."""
    segments = unquote(path[: 4 * LONGEST]).split("/")
    shown: list[str] = []
    first = next(filter(None, segments), "")
    for segment in segments:
        if segment in _words or (first == "admin" and _ROW.fullmatch(segment) and len(shown) > 3):
            shown.append(segment)
        else:
            shown.append(_model(segment) if "models" in shown else MASK)
    text = "/".join(shown)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def shown_method(method: str) -> str:
    """Return a request's method as it may be logged: HTTP allows any word there."""
    return method if method in METHODS else MASK


def _model(name: str) -> str:
    """Return a model's name and verb piece by piece; what does not begin as one is none."""
    pieces = _BETWEEN.split(name)
    return "".join(map(_piece, pieces)) if pieces[0] in FAMILIES else MASK


def _piece(piece: str) -> str:
    is_known = piece in MODEL_WORDS or piece in _words or _MODEL_NUMBER.fullmatch(piece) or _BETWEEN.fullmatch(piece)
    return piece if is_known else MASK
