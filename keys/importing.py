"""Pasted text -> well-formed keys -> rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from keys import vault
from keys.models import Key, Source

# Google's two forms: the classic one of 39 characters, and the newer one, of which the length is not promised.
_KEY: Final = re.compile(r"AIza[0-9A-Za-z_-]{35}|AQ\.[0-9A-Za-z_-]{20,200}")
_WORD: Final = re.compile(r"[0-9A-Za-z_.-]+")
# What stands around keys in .env files and numbered lists.
_AROUND: Final = re.compile(r"[._-]*\d{0,4}[._-]*|(?:GEMINI|GOOGLE)_API_KEYS?(?:_\d+)?", re.IGNORECASE)
_USABLE: Final = re.compile(r"[\x21-\x7e]{1,300}")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Keys found in a text, in its order, each once; how many stood there again; masked words that are no keys."""

    keys: tuple[str, ...]
    duplicates: int
    malformed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of keys: new ones, known ones, and those of the known that were brought back."""

    added: int
    known: int
    revived: int


def parse_keys(text: str) -> Parsed:
    """Find the keys in ``text``, whatever stands between them: commas, new lines, quotes, brackets, other scripts."""
    words = [word.strip(".") for word in _WORD.findall(text)]
    found = [word for word in words if _KEY.fullmatch(word)]
    keys = tuple(dict.fromkeys(found))
    malformed = (word for word in words if not _KEY.fullmatch(word) and not _AROUND.fullmatch(word))
    return Parsed(keys, len(found) - len(keys), tuple(_hint(word) for word in malformed))


def is_usable(secret: str) -> bool:
    """Tell whether a secret can travel in a header: visible ASCII, without spaces."""
    return bool(_USABLE.fullmatch(secret))


@transaction.atomic
@transaction.atomic
def import_keys(secrets: Iterable[str], source: Source) -> Imported:
    """Add the keys that are not there yet. Safe to repeat.

    A known key that had left the environment comes back; one disabled by an admin or by Google stays out.
    A key that an admin imports is the admin's from then on: it no longer leaves with the environment.
    """
    by_digest = {vault.digest(secret): secret for secret in secrets}
    known = {key.digest: key for key in Key.objects.all() if key.digest in by_digest}
    for digest, secret in by_digest.items():
        if digest not in known:
            _add(secret, digest, source)
    revived = sum(_welcome(key, source) for key in known.values())
    return Imported(len(by_digest) - len(known), len(known), revived)


def leave_environment(secrets: Iterable[str]) -> int:
    """Disable the environment's keys that are not among ``secrets`` any more; return how many."""
    staying = {vault.digest(secret) for secret in secrets}
    leaving = [
        key
        for key in Key.objects.filter(source=Source.ENVIRONMENT, disabled_by=Key.DisabledBy.NOBODY)
        if key.digest not in staying
    ]
    for key in leaving:
        key.disabled_by = Key.DisabledBy.ENVIRONMENT
        key.disabled_reason = "It is no longer in GEMINI_API_KEYS."
        key.save(update_fields=["disabled_by", "disabled_reason"])
    return len(leaving)


def _add(secret: str, digest: str, source: Source) -> None:
    # One save for each, not bulk_create: the runtime is told by the signal.
    Key.objects.create(ciphertext=vault.encrypt(secret), digest=digest, tail=vault.tail(secret), source=source)


def _welcome(key: Key, source: Source) -> bool:
    revived = key.disabled_by == Key.DisabledBy.ENVIRONMENT
    if revived:
        key.disabled_by, key.disabled_reason = Key.DisabledBy.NOBODY, ""
    taken_over = source == Source.ADMIN and key.source != Source.ADMIN
    if taken_over:
        key.source = source
    if revived or taken_over:
        key.save(update_fields=["disabled_by", "disabled_reason", "source"])
    return revived


def _hint(word: str) -> str:
    """Enough of a word for a person to find it in their text, too little to be used."""
    return f"{word[:4]}… ({len(word)})" if len(word) > 8 else f"… ({len(word)})"
