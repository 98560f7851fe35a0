"""Every secret that this process knows, out of the texts it writes: keys of any form, members' passwords. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from string import punctuation
from typing import Final

from keys.masking import MASK, mask

# A shorter one would stand in half of all words; it is masked only where a name tells what it is ("key=123").
SHORTEST: Final = 8
_LONGEST: Final = 128
_BETWEEN: Final = re.compile(r"[\s'\"/=&?,;()\[\]{}<>]+")
_COLONS: Final = str.maketrans(":|", "  ")


class Redactor:
    """Masks what looks like a secret, and what is known to be one.

    Keys are compared as they are; passwords, of which only digests exist, are asked for word by word. ``often`` does
    the same for short texts that come again and again, and remembers what became of them.
    """

    often: Callable[[str], str]

    def __init__(self) -> None:
        self._fixed: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._is_password: Callable[[str], bool] = _nothing
        self._forget()

    def keep(self, secrets: Iterable[str]) -> None:
        """Know these for as long as the process runs: what the environment says."""
        self._fixed = _odd(secrets)
        self._forget()

    def know(self, keys: Iterable[str], is_password: Callable[[str], bool]) -> None:
        """Know these keys, and whatever ``is_password`` says yes to, instead of those before."""
        self._keys, self._is_password = _odd(keys), lru_cache(maxsize=4096)(is_password)
        self._forget()

    def _forget(self) -> None:
        """Remember nothing that was said before something else was known."""
        self.often = lru_cache(maxsize=4096)(self)

    def __call__(self, text: str) -> str:
        """Return ``text`` with every secret replaced by ***."""
        text = mask(text)
        for secret in (*self._fixed, *self._keys):
            text = text.replace(secret, MASK)
        for word in self._passwords(text):
            text = text.replace(word, MASK)
        return text

    def _passwords(self, text: str) -> list[str]:
        # A password may hold such characters itself, and a sentence ends in one.
        pieces = {*text.split(), *_BETWEEN.split(text), *_BETWEEN.split(text.translate(_COLONS))}
        words = {word for piece in pieces for word in (piece, piece.strip(punctuation))}
        likely = sorted((word for word in words if SHORTEST <= len(word) <= _LONGEST), key=len, reverse=True)
        return [word for word in likely if self._is_password(word)]


def _nothing(word: str) -> bool:
    return False


def _odd(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return those that mask() does not know by their form; the longest first, for one may begin another."""
    found = {secret for secret in secrets if len(secret) >= SHORTEST and secret in mask(secret)}
    return tuple(sorted(found, key=len, reverse=True))


redact: Final = Redactor()
