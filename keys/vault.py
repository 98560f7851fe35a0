"""Secrets at rest: encrypt, decrypt, digest. Fails closed: what cannot be read is an error, never a guess."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from keys.masking import mask, tail
from keys.models import Key, Secret

__all__ = ["Undecryptable", "decrypt", "digest", "encrypt", "forget", "mask", "rotate", "tail", "unlock"]

_PURPOSE: Final = b"hajimi vault 1"
_PEPPER: Final = "pepper"


class Undecryptable(Exception):
    """A stored secret was encrypted with another SECRET_KEY, or is damaged."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be decrypted: it was encrypted with another SECRET_KEY. "
            "Set SECRET_KEY to the earlier value, or add that to SECRET_KEY_FALLBACKS."
        )


def encrypt(text: str) -> str:
    """Return ``text`` encrypted with SECRET_KEY; every time another ciphertext."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(ciphertext: str) -> str:
    """Return the text that was encrypted with SECRET_KEY or one of its fallbacks. Raises Undecryptable."""
    try:
        return _fernet().decrypt(ciphertext.encode()).decode()
    except (InvalidToken, ValueError):
        raise Undecryptable from None


def digest(text: str) -> str:
    """Return the HMAC-SHA256 of ``text`` under this installation's pepper, 64 hex digits.

    The first call in a process reads the pepper from the database (see ``unlock``). Raises Undecryptable.
    """
    # A client may send anything, lone surrogates too: it is then simply unknown.
    return hmac.new(unlock(), text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


_pepper: bytes | None = None


def unlock() -> bytes:
    """Return the pepper, read (at the very first start: made) once in this process. Raises Undecryptable.

    Called at start, so that no digest needs the database later.
    """
    global _pepper
    if _pepper is None:
        row, _ = Secret.objects.get_or_create(name=_PEPPER, defaults={"ciphertext": encrypt(secrets.token_urlsafe(32))})
        _pepper = decrypt(row.ciphertext).encode()
    return _pepper


def forget() -> None:
    """Forget the pepper; the next digest reads it again (another database, a restored backup)."""
    global _pepper
    _pepper = None


def rotate() -> int:
    """Re-encrypt with SECRET_KEY all that only a fallback can read; return how many secrets that were.

    What nothing can read is left as it is.
    """
    with transaction.atomic():
        return sum(_renew(row) for rows in (Key.objects.all(), Secret.objects.all()) for row in rows)


def _renew(row: Key | Secret) -> bool:
    newest = _fernets(settings.SECRET_KEY)[0]
    try:
        newest.decrypt(row.ciphertext.encode())
    except InvalidToken:
        pass
    else:
        return False
    try:
        row.ciphertext = encrypt(decrypt(row.ciphertext))
    except Undecryptable:
        return False
    row.save(update_fields=["ciphertext"])
    return True


def _fernet() -> MultiFernet:
    return MultiFernet(_fernets(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _fernets(*secret_keys: str) -> tuple[Fernet, ...]:
    return tuple(Fernet(base64.urlsafe_b64encode(_derive(secret_key))) for secret_key in secret_keys)


def _derive(secret_key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret_key.encode())
