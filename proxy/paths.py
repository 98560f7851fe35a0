"""What an address asks for: the slips of pasted base URLs undone, API or page, and whose dialect. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Dialect(StrEnum):
    """Whose words an answer is in."""

    OPENAI = "openai"
    GOOGLE = "google"
    ANTHROPIC = "anthropic"


NATIVE_VERSIONS: Final = frozenset({"v1beta", "v1alpha"})
VERSIONS: Final = NATIVE_VERSIONS | {"v1"}
# What may follow the version; the first segment alone already says that no page is meant.
HEADS: Final = frozenset(
    {"models", "chat", "completions", "embeddings", "images", "audio", "messages", "responses", "moderations"}
)
# Where Google's clients send files; the version comes after it.
UPLOAD: Final = "upload"
PASTED: Final = ("chat", "completions")
MODELS: Final = "/v1/models"


def is_api(path: str) -> bool:
    """Tell whether ``path`` belongs to the API; anything else is a page."""
    first, second, *_rest = [*path.lstrip("/").split("/", 2), ""]
    return first in VERSIONS or first in HEADS or (first == UPLOAD and second in VERSIONS)


def normalise(path: str) -> str:
    """Return the one spelling of ``path`` that the API's table uses.

    Slashes are single and none trails; a missing version is v1; of several the last one counts; Google's ``upload``
    before one is dropped, and so is what was pasted before an endpoint (``/v1/chat/completions`` as a base URL,
    Google's ``openai``).
    """
    segments = [segment for segment in path.split("/") if segment]
    version = "v1"
    while segments:
        if segments[0] in VERSIONS:
            version = segments.pop(0)
        elif segments[0] == "openai" and segments[1:2]:
            version = "v1"
            del segments[0]
        elif segments[0] == UPLOAD and segments[1:2] and segments[1] in VERSIONS:
            del segments[0]
        elif _is_pasted_base(segments):
            version = "v1"
            del segments[:2]
        else:
            break
    return "/".join(["", version, *segments])


def _is_pasted_base(segments: list[str]) -> bool:
    """Tell whether the path goes on after ``chat/completions`` with another endpoint or version."""
    return tuple(segments[:2]) == PASTED and len(segments) > 2 and segments[2] in HEADS | VERSIONS


def dialect_of(path: str) -> Dialect:
    """Return the dialect that answers and errors at the normalised ``path`` are in."""
    _root, version, rest = [*path.split("/", 2), "", ""][:3]
    if rest == "messages" or rest.startswith("messages/"):
        return Dialect.ANTHROPIC
    if version in NATIVE_VERSIONS or (rest.startswith("models/") and ":" in rest):
        return Dialect.GOOGLE
    return Dialect.OPENAI


def models_dialect(*, anthropic_version: bool, google_credential: bool, authorization: bool) -> Dialect:
    """Return the dialect of the model list under /v1, which three kinds of clients ask for.

    The arguments say whether the request has an ``anthropic-version`` header; ``x-goog-api-key`` or ``?key=``;
    an ``Authorization`` header.
    """
    if google_credential and not authorization:
        return Dialect.GOOGLE
    return Dialect.ANTHROPIC if anthropic_version else Dialect.OPENAI
