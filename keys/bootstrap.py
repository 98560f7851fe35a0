"""What the environment brings at each start: keys, the shared member, the admin account. Safe to repeat."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from keys import enrolling, vault
from keys.accounts import Account
from keys.importing import (
    VARIABLE_OF,
    Credential,
    environment_credentials,
    import_credentials,
    is_usable,
    leave_environment,
)
from keys.models import Key, Member, Secret, Source

_ADMIN_SECRET: Final = "admin_password"  # noqa: S105 - the name of a row


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What the start has to tell: sentences for the log, and a generated admin password (to be printed once)."""

    notes: tuple[str, ...]
    admin_username: str
    admin_password: str | None = field(default=None, repr=False)


def bootstrap(
    *,
    keys: Sequence[str],
    password: str | None,
    admin_username: str,
    admin_password: str,
    express_keys: Sequence[str] = (),
    accounts: Sequence[Account] = (),
) -> Bootstrapped:
    """Bring the database in line with the environment. Raises vault.Undecryptable.

    ``keys`` are of AI Studio, ``express_keys`` and ``accounts`` of Vertex AI. ``password`` None: PASSWORD is unset.
    ``admin_password`` empty: generated with the account.
    """
    vault.unlock()
    if settings.SECRET_KEY_FALLBACKS:
        vault.rotate()
    notes = [*_credentials(environment_credentials(keys, express_keys, accounts)), *_shared_member(password)]
    generated, note = _admin(admin_username, admin_password)
    return Bootstrapped((*notes, *note), admin_username, generated)


@transaction.atomic
def _credentials(given: Mapping[str, Sequence[Credential]]) -> Iterable[str]:
    """Bring in the credentials of each kind, and take out those that have left their variable."""
    usable = {kind: [one for one in all_of_kind if _is_usable(one)] for kind, all_of_kind in given.items()}
    notes = [note for kind, all_of_kind in given.items() for note in _brought_in(kind, all_of_kind, usable[kind])]
    for kind, left in leave_environment(one for all_of_kind in usable.values() for one in all_of_kind).items():
        notes.append(f"{VARIABLE_OF[kind]}: {left} no longer there, disabled.")
    return notes


def _brought_in(kind: str, given: Sequence[Credential], usable: Sequence[Credential]) -> Iterable[str]:
    name, imported = VARIABLE_OF[kind], import_credentials(usable, Source.ENVIRONMENT)
    count = len({credential.identity for credential in given})
    if unusable := count - len({credential.identity for credential in usable}):
        yield f"{name}: {unusable} of {count} cannot be keys and are left out."
    if imported.added:
        yield f"{name}: {imported.added} added."
    if imported.revived:
        yield f"{name}: {imported.revived} came back."


def _is_usable(credential: Credential) -> bool:
    # An account was read when the environment was: its text is JSON, with spaces in it.
    return credential.kind == Key.Kind.VERTEX_SERVICE_ACCOUNT or is_usable(credential.secret)


@transaction.atomic
def _shared_member(password: str | None) -> Iterable[str]:
    shared = Member.objects.filter(source=Source.ENVIRONMENT).order_by("pk").first()
    if password is None:
        return _default_password(shared)
    notes = []
    if shared is None:
        shared = Member.objects.filter(name=enrolling.SHARED_NAME).first()
        if shared is not None:
            notes.append("The member named shared follows PASSWORD from now on.")
    if not _follow(shared or Member(name=enrolling.SHARED_NAME), password):
        notes.append("PASSWORD is another member's password: the member named shared has none until it is changed.")
    if password == enrolling.DEFAULT_PASSWORD:
        notes.append(
            "WARNING: PASSWORD is 123, so everybody who finds this address can use your keys. Set PASSWORD to another."
        )
    elif len(password) < 8:
        notes.append("PASSWORD is easy to guess: whoever finds this address can use your keys. Choose a longer one.")
    return notes


def _default_password(shared: Member | None) -> Iterable[str]:
    """PASSWORD is unset: 123 opens until an admin has made a member, and never again after that."""
    if Member.objects.filter(source=Source.ADMIN).exists() or (shared and not enrolling.is_open(shared)):
        if shared:
            enrolling.close(shared)
        return []
    shared = shared or Member(name=enrolling.SHARED_NAME)
    if not _follow(shared, enrolling.DEFAULT_PASSWORD) or not shared.enabled:
        return []
    return [
        "WARNING: PASSWORD is unset, so everybody can use your keys with the password 123. "
        "Set PASSWORD, or add a member in the admin: 123 then ends."
    ]


def _follow(shared: Member, password: str) -> bool:
    """Give the shared member this password; False, and none at all, when another member has it."""
    try:
        if shared.digest != vault.digest(password) or shared.source != Source.ENVIRONMENT:
            enrolling.give_password(shared, password, Source.ENVIRONMENT)
    except enrolling.PasswordTaken:
        enrolling.close(shared)
        return False
    return True


@transaction.atomic
def _admin(username: str, password: str) -> tuple[str | None, Iterable[str]]:
    """Make sure that somebody can log in to the admin; return a generated password, and a note.

    A new value of ADMIN_PASSWORD becomes the password of ADMIN_USERNAME (made, or made superuser again, when
    need be): that is how people get back in. The same value again changes nothing, so that a password
    changed in the admin survives restarts.
    """
    if password and _is_news(username, password):
        _superuser(username, password)
        _remember(username, password)
        return None, [f"ADMIN_PASSWORD is now the password of {username}."]
    if get_user_model().objects.filter(is_superuser=True, is_active=True).exists():
        return None, []
    generated = secrets.token_urlsafe(12)
    _superuser(username, password or generated)
    return (None if password else generated), []


def _superuser(username: str, password: str) -> None:
    user = User.objects.filter(username=username).first() or User(username=username)
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()


def _is_news(username: str, password: str) -> bool:
    row = Secret.objects.filter(name=_ADMIN_SECRET).first()
    return row is None or vault.decrypt(row.ciphertext) != _admin_digest(username, password)


def _remember(username: str, password: str) -> None:
    ciphertext = vault.encrypt(_admin_digest(username, password))
    Secret.objects.update_or_create(name=_ADMIN_SECRET, defaults={"ciphertext": ciphertext})


def _admin_digest(username: str, password: str) -> str:
    return vault.digest(f"admin\n{username}\n{password}")
