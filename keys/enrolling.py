"""Members in, and new passwords for them. Only digests are stored."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from keys import vault
from keys.models import Member, Source

SHARED_NAME: Final = "shared"
DEFAULT_PASSWORD: Final = "123"  # noqa: S105 - the documented default, which ends with the first member

_PASSWORD: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_LEAST_LETTERS: Final = 4
# No HMAC in hexadecimal begins like this, so no password opens it.
_CLOSED: Final = "!"


@cache
def _validators() -> tuple[Any, ...]:
    """Return what a chosen password must pass. Made when it is needed: the list of common ones takes megabytes."""
    return (
        password_validation.MinimumLengthValidator(8),
        password_validation.CommonPasswordValidator(),
        password_validation.NumericPasswordValidator(),
    )


class Refused(ValueError):
    """A password cannot be used; the message says why."""


class BadPassword(Refused):
    """A password cannot be used: it is not printable ASCII, or has spaces at its ends."""

    def __init__(self) -> None:
        super().__init__("A password is printable ASCII, without spaces at its ends.")


class PasswordTaken(Refused):
    """Another member has this password: two may not share one."""

    def __init__(self) -> None:
        super().__init__("Another member has this password; each member needs a password of their own.")


class SetByEnvironment(Refused):
    """PASSWORD says what this member's password is, and says it again at each start."""

    def __init__(self) -> None:
        super().__init__("This member's password is the variable PASSWORD: change it there, and start hajimi again.")


class WeakPassword(Refused):
    """A password is too easy to guess; ``sentences`` say why."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__(" ".join(self.sentences))


def generate_password() -> str:
    """Return a new password of 24 characters (144 bits)."""
    return secrets.token_urlsafe(18)


def check_strength(password: str, name: str = "") -> None:
    """Refuse a chosen password that others could guess: whoever has it uses our keys. Raises WeakPassword."""
    sentences = []
    try:
        password_validation.validate_password(password, password_validators=_validators())
    except ValidationError as error:
        sentences = error.messages
    if len(set(password)) < _LEAST_LETTERS:
        sentences.append(gettext("This password uses too few different characters."))
    if name and password.casefold() == name.casefold():
        sentences.append(gettext("This password is the member's name."))
    if sentences:
        raise WeakPassword(sentences)


def usable_digest(password: str, member: Member | None = None) -> str:
    """Return the digest of a password that ``member`` may have. Raises BadPassword or PasswordTaken."""
    if not _PASSWORD.fullmatch(password):
        raise BadPassword
    digest = vault.digest(password)
    holder = Member.objects.filter(digest=digest).exclude(pk=member.pk if member and member.pk else 0).first()
    if holder is not None and not _gives_way(holder):
        raise PasswordTaken
    return digest


def enrol(name: str, password: str = "", **fields: Any) -> tuple[Member, str]:
    """Create a member; return it and its password (generated when none is given).

    Raises BadPassword, PasswordTaken, or IntegrityError when the name is taken.
    """
    member = Member(name=name, **fields)
    password = give_password(member, password)
    return member, password


@transaction.atomic
def give_password(member: Member, password: str = "", source: Source = Source.ADMIN) -> str:
    """Save ``member`` with this password, or a generated one; return it.

    A member whose password an admin chose is the admin's own, and ends the default password. Raises BadPassword,
    PasswordTaken, or SetByEnvironment: the next start would bring the earlier password back.
    """
    if source == Source.ADMIN:
        check_may_change(member)
    password = password or generate_password()
    digest = usable_digest(password, member)
    if source == Source.ADMIN:
        close_default()
    member.digest, member.source = digest, source
    try:
        with transaction.atomic():
            member.save()
    except IntegrityError:
        # Somebody else took the password (or the name) in between; which, the next lookup tells.
        if Member.objects.filter(digest=digest).exclude(pk=member.pk).exists():
            raise PasswordTaken from None
        raise
    return password


def follows_environment(member: Member) -> bool:
    """True when each start gives this member the password that PASSWORD holds."""
    return settings.PASSWORD is not None and member.source == Source.ENVIRONMENT and bool(member.pk)


def check_may_change(member: Member) -> None:
    """Raise SetByEnvironment when the next start would undo a new password."""
    if follows_environment(member):
        raise SetByEnvironment


def close(member: Member) -> None:
    """Leave a member without any password that opens."""
    if is_open(member):
        member.digest = _CLOSED + secrets.token_hex(16)
        member.save()


def is_open(member: Member) -> bool:
    """True when the member has a password."""
    return bool(member.digest) and not member.digest.startswith(_CLOSED)


def close_default() -> None:
    """End the default password 123, which serves only while PASSWORD is unset and no admin has made a member."""
    if settings.PASSWORD is None:
        for member in Member.objects.filter(source=Source.ENVIRONMENT, digest=vault.digest(DEFAULT_PASSWORD)):
            close(member)


def default_opens() -> bool:
    """True while somebody may come in with the password 123. Synchronous."""
    return Member.objects.filter(enabled=True, digest=vault.digest(DEFAULT_PASSWORD)).exists()


def _gives_way(holder: Member) -> bool:
    """The default password is given up the moment an admin's own member is made, also one that takes it."""
    is_default = holder.source == Source.ENVIRONMENT and holder.digest == vault.digest(DEFAULT_PASSWORD)
    return is_default and settings.PASSWORD is None
