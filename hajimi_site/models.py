"""What an admin's second factor is made of, stored so that the database alone makes no code."""

from __future__ import annotations

from typing import Any, Final

from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from keys import vault

SEED: Final = "seed of a second factor"
_RECOVERY: Final = "recovery code\n"
_LONGEST_TOKEN: Final = 16


class SealedDevice(TOTPDevice):  # type: ignore[misc]
    """django-otp's device whose column ``key`` holds the seed encrypted."""

    class Meta:
        proxy = True
        default_permissions = ()

    @property
    def bin_key(self) -> bytes:
        """The seed itself. Raises vault.Undecryptable."""
        return vault.small_decrypt(self.key, SEED)

    @property
    def is_readable(self) -> bool:
        """Whether the seed can be read: not after SECRET_KEY was lost."""
        try:
            return bool(self.bin_key)
        except vault.Undecryptable:
            return False

    def verify_token(self, token: str) -> bool:
        """Tell whether this is the code of now; no code is, while the seed cannot be read."""
        try:
            return bool(super().verify_token(token))
        except vault.Undecryptable:
            return False


class DigestedCodes(StaticDevice):  # type: ignore[misc]
    """django-otp's list of recovery codes, of which only digests are stored."""

    class Meta:
        proxy = True
        default_permissions = ()

    def verify_token(self, token: str) -> bool:
        """Tell whether this is one of the codes, and strike it out."""
        return bool(super().verify_token(digest_of(token)))


def sealed_seed(seed: bytes) -> str:
    """Return a seed as its column holds it."""
    return vault.small_encrypt(seed, SEED)


def digest_of(code: str) -> str:
    """Return a recovery code as its column holds it."""
    return vault.digest(_RECOVERY + code)[:_LONGEST_TOKEN]


def seal_all(devices: Any, tokens: Any) -> None:
    """Replace what stands in clear in these rows of earlier versions."""
    for device in devices:
        device.key = sealed_seed(bytes.fromhex(device.key))
        device.save(update_fields=["key"])
    for token in tokens:
        token.token = digest_of(token.token)
        token.save(update_fields=["token"])
