"""Luggage -> rows: what is new is added, what is there already stays as it is. Synchronous; safe to repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.db import transaction

from hajimi_site.environment import VARIABLES, Variable
from hajimi_site.kinds import Unfit
from hajimi_site.moving_in.luggage import Guest, Luggage
from keys import enrolling, vault
from keys.accounts import BadAccount, parse
from keys.importing import Credential, import_credentials, is_usable
from keys.models import Key, Member, Source
from proxy.behaviour import Behaviour
from proxy.models import Settings
from proxy.revision import ONLY_ROW
from proxy.runtime import current_behaviour

_BY_NAME: Final[Mapping[str, Variable]] = {
    name: variable for variable in VARIABLES for name in (variable.name, *variable.old_names)
}
_BEHAVIOUR: Final = frozenset(Behaviour.__dataclass_fields__)


@dataclass(slots=True)
class Counts:
    """What became of one kind of thing: new here, here before, and not usable."""

    added: int = 0
    skipped: int = 0
    refused: int = 0


@dataclass(slots=True)
class Report:
    """What became of everything. ``notes`` are sentences for the person who moves in; they hold no secret."""

    keys: Counts = field(default_factory=Counts)
    members: Counts = field(default_factory=Counts)
    settings: Counts = field(default_factory=Counts)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return asdict(self)


class _DryRun(Exception):
    """Undoes everything."""


def settle(luggage: Luggage, *, dry_run: bool = False) -> Report:
    """Bring everything in; with ``dry_run`` only say what would become of it."""
    report = Report(notes=[f"Left behind: {what}" for what in luggage.left])
    try:
        with transaction.atomic():
            _keys(luggage, report)
            for guest in luggage.guests:
                _member(guest, report)
            _settings(luggage.settings, report)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass
    return report


def _keys(luggage: Luggage, report: Report) -> None:
    credentials = [Credential.of_key(secret) for secret in luggage.keys]
    credentials += [Credential.of_key(secret, Key.Kind.VERTEX_EXPRESS) for secret in luggage.express_keys]
    usable = [one for one in credentials if is_usable(one.secret)]
    try:
        usable += [Credential.of_account(account) for account in parse(luggage.accounts)] if luggage.accounts else []
    except BadAccount as error:
        report.keys.refused += 1
        report.notes.append(f"The service accounts cannot be used: {error}.")
    imported = import_credentials(usable, Source.ADMIN)
    report.keys.added += imported.added
    report.keys.skipped += len(usable) - imported.added
    report.keys.refused += len(credentials) - sum(one.kind != Key.Kind.VERTEX_SERVICE_ACCOUNT for one in usable)


def _member(guest: Guest, report: Report) -> None:
    counts = report.members
    if Member.objects.filter(digest=vault.digest(guest.password)).exists():
        counts.skipped += 1
        return
    name = _free_name(guest.name)
    fields = {"expires_at": guest.expires_at, "allowed_models": "\n".join(guest.allowed_models)}
    try:
        enrolling.enrol(name, guest.password, enabled=guest.enabled, note="Moved in.", **fields)
    except enrolling.Refused as error:
        counts.refused += 1
        report.notes.append(f"{name} is left out: {error}")
        return
    counts.added += 1
    if not guest.enabled:
        report.notes.append(f"{name} was disabled there and is disabled here.")


def _free_name(name: str) -> str:
    tried = _names(" ".join(name.replace("<", "").replace(">", "").split()) or "member")
    return next(one for one in tried if not Member.objects.filter(name=one).exists())


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name[:70]} ({number})"
        number += 1


def _settings(given: Mapping[str, str], report: Report) -> None:
    row, _ = Settings.objects.get_or_create(pk=ONLY_ROW)
    now = current_behaviour()
    for name, text in given.items():
        variable = _BY_NAME.get(name)
        if variable is None or variable.name.lower() not in _BEHAVIOUR or not text.strip():
            continue
        field_name = variable.name.lower()
        try:
            value = variable.kind.read(text.strip())
        except Unfit:
            report.settings.refused += 1
            report.notes.append(f"{name} is left out: it must be {variable.kind.allowed}.")
            continue
        is_chosen = getattr(row, field_name) not in (None, "")
        if is_chosen or value == getattr(now, field_name):
            report.settings.skipped += 1
            continue
        setattr(row, field_name, "\n".join(value) if isinstance(value, tuple) else value)
        report.settings.added += 1
    row.save()
