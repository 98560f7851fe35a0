"""Secrets at rest: encrypt, decrypt, digest. Fails closed: what cannot be read is an error, never a guess."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from keys.masking import mask, tail
from keys.models import Key, Secret

__all__ = [
    "Rotated",
    "Undecryptable",
    "decrypt",
    "digest",
    "encrypt",
    "forget",
    "mask",
    "opened",
    "rotate",
    "rotate_rows",
    "sealed",
    "small_decrypt",
    "small_encrypt",
    "tail",
    "unlock",
]

_PURPOSE: Final = b"hajimi vault 1"
_MEMBER_PURPOSE: Final = b"hajimi member 1"
_SMALL_PURPOSE: Final = b"hajimi small secret 1"
_NONCE_BYTES: Final = 12
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


def sealed(text: str, password: str) -> str:
    """Return ``text`` encrypted so that only ``password`` opens it, on this installation."""
    return _member_fernet(password).encrypt(text.encode()).decode()


def opened(ciphertext: str, password: str) -> str | None:
    """Return what was sealed with ``password``, None for another one."""
    try:
        return _member_fernet(password).decrypt(ciphertext.encode()).decode()
    except (InvalidToken, ValueError):
        return None


def _member_fernet(password: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=unlock(), info=_MEMBER_PURPOSE).derive(password.encode())
    return Fernet(base64.urlsafe_b64encode(key))


def small_encrypt(secret: bytes, purpose: str) -> str:
    """Return ``secret`` encrypted for one purpose, in a third more than 28 bytes beside its own.

    For columns of others that are too narrow for ``encrypt``. The pepper opens it, which rotation re-encrypts.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.urlsafe_b64encode(nonce + _small_cipher(purpose).encrypt(nonce, secret, None)).decode()


def small_decrypt(text: str, purpose: str) -> bytes:
    """Return what was encrypted for this purpose. Raises Undecryptable."""
    try:
        raw = base64.urlsafe_b64decode(text.encode())
        return _small_cipher(purpose).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        raise Undecryptable from None


def _small_cipher(purpose: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=unlock(), info=_SMALL_PURPOSE).derive(purpose.encode()))


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
    return rotate_rows(Key.objects.all(), Secret.objects.all()).renewed


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: rows that are encrypted anew, rows that nothing can read, and all rows it looked at."""

    renewed: int
    unreadable: int
    seen: int


def rotate_rows(*querysets: QuerySet[Any]) -> Rotated:
    """Re-encrypt, all or nothing, the ``ciphertext`` of these rows that SECRET_KEY itself cannot read."""
    with transaction.atomic():
        done = Counter(_renew(row) for rows in querysets for row in rows.iterator(chunk_size=500))
    return Rotated(done["renewed"], done["unreadable"], done.total())


def _renew(row: Any) -> str:
    """Encrypt one row anew if it must be: "renewed", "current" or "unreadable"."""
    newest = _fernets(settings.SECRET_KEY)[0]
    try:
        newest.decrypt(row.ciphertext.encode())
    except InvalidToken:
        pass
    else:
        return "current"
    try:
        row.ciphertext = encrypt(decrypt(row.ciphertext))
    except Undecryptable:
        return "unreadable"
    row.save(update_fields=["ciphertext"])
    return "renewed"


def _fernet() -> MultiFernet:
    return MultiFernet(_fernets(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _fernets(*secret_keys: str) -> tuple[Fernet, ...]:
    return tuple(Fernet(base64.urlsafe_b64encode(_derive(secret_key))) for secret_key in secret_keys)


def _derive(secret_key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret_key.encode())
