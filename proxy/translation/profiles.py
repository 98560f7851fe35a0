"""Model names as clients write them: aliases, which model is meant, which are listed or blocked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.translation.families import Profile, profile_of

__all__ = [
    "DEFAULT_CHAT_MODELS",
    "VERTEX_MODELS",
    "Both",
    "NamePatterns",
    "Names",
    "Profile",
    "Resolved",
    "is_listed",
    "resolve",
]

# Shown until a first list was fetched. Clients that sort by name take the first one by themselves.
DEFAULT_CHAT_MODELS: Final[tuple[str, ...]] = (
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-3-flash-preview",
    "gemini-3.1-flash-lite",
    "gemini-3.1-pro-preview",
    "gemini-3.5-flash",
    "gemini-3.6-flash",
    "gemini-3.8-flash",
    "gemini-flash-latest",
)

# What service accounts and express keys reach: cloud.google.com/vertex-ai/generative-ai/docs/models
VERTEX_MODELS: Final[tuple[str, ...]] = (
    *(name for name in DEFAULT_CHAT_MODELS if not name.endswith("-latest")),
    "gemini-2.5-flash-image",
    "gemini-3-pro-image-preview",
)

# Names come from strangers: one made of nothing but aliases must not cost more than its length.
_MOST_AFFIXES: Final = 8
_PREFIXES: Final = ("models/", "koboldcpp/")
_ALIAS: Final = re.compile(r"(?s)(.+)-(?:(search)|thinking-(none|minimal|low|medium|high)|(nothinking))")
_CHAT_NAME: Final = re.compile(r"(gemini|gemma|learnlm)-")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model as the client ``asked`` for it, and what that means.

    ``name`` is upstream's, without ``models/``; ``thinking`` is "none", "minimal", "low", "medium" or "high"
    when an alias says so.
    """

    asked: str
    name: str
    profile: Profile
    search: bool = False
    thinking: str | None = None


def resolve(model: str) -> Resolved:
    """Read a model name with its prefixes and aliases, in any letter case; unknown names count as the newest model."""
    name = _without_prefixes(model.strip().lower())
    search, thinking = False, None
    for _ in range(_MOST_AFFIXES):
        if (found := _ALIAS.fullmatch(name)) is None:
            break
        name = found[1].strip()
        search = search or found[2] is not None
        thinking = thinking or found[3] or ("none" if found[4] else None)
    return Resolved(model, name, profile_of(name), search, thinking)


def _without_prefixes(name: str) -> str:
    for _ in range(_MOST_AFFIXES):
        if not name.startswith(_PREFIXES):
            break
        name = name.partition("/")[2].strip()
    return name


def is_listed(name: str, methods: Collection[str]) -> bool:
    """Return whether /v1/models shows this upstream model, which serves ``methods``: words or pictures."""
    name = _without_prefixes(name.strip().lower())
    profile = profile_of(name)
    is_shown = profile.is_chat or profile.is_image
    return "generateContent" in methods and _CHAT_NAME.match(name) is not None and is_shown


class Names(Protocol):
    """Some model names."""

    def matches(self, name: str) -> bool:
        """Return whether a model name, as a client may write it, is among them."""


@dataclass(frozen=True, slots=True)
class Both:
    """The model names that are among the first and among the second."""

    first: Names
    second: Names

    def matches(self, name: str) -> bool:
        """Return whether a model name, as a client may write it, is among both."""
        return self.first.matches(name) and self.second.matches(name)


class NamePatterns:
    """Model names and globs, in any letter case; a name also covers its ``models/`` form and its aliases."""

    __slots__ = ("_match", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        cleaned = (_without_prefixes(pattern.strip().lower()) for pattern in patterns)
        self.patterns = tuple(pattern for pattern in cleaned if pattern)
        self._match = re.compile("|".join(map(fnmatch.translate, self.patterns)) or r"(?!)").match

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __repr__(self) -> str:
        return f"NamePatterns({self.patterns!r})"

    def matches(self, name: str) -> bool:
        """Return whether a model name, as a client may write it, is among the patterns."""
        if not self.patterns:
            return False
        resolved = resolve(name)
        written = _without_prefixes(name.strip().lower())
        names = {resolved.name, written} | ({f"{resolved.name}-search"} if resolved.search else set())
        return any(self._match(each) is not None for each in names)
