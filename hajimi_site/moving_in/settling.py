"""Luggage -> rows: what is new is added, what is there already stays as it is. Synchronous; safe to repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from hajimi_site.environment import VARIABLES, Variable
from hajimi_site.kinds import Unfit
from hajimi_site.moving_in.luggage import Guest, Luggage, some
from keys import enrolling, vault
from keys.accounts import is_token_server, parse_each
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
_WAS_OFF: Final = "It was disabled where it came from."


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
            new_keys = _keys(luggage, report)
            _members(luggage.guests, report)
            _settings(luggage.settings, luggage.unknown, report)
            _tell_of_vertex(new_keys, report)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass
    return report


def _keys(luggage: Luggage, report: Report) -> tuple[int, ...]:
    """Bring the keys in; return the ids of the new ones."""
    found = list(_credentials(luggage, report))
    # First those that serve: a key that is there twice serves.
    serving = import_credentials((one for one, is_off in found if not is_off), Source.ADMIN)
    off = import_credentials((one for one, is_off in found if is_off), Source.ADMIN, disabled_because=_WAS_OFF)
    report.keys.added += serving.added + off.added
    report.keys.skipped += len(found) - serving.added - off.added
    if off.added:
        report.notes.append(f"{off.added} keys were disabled there and are disabled here.")
    return (*serving.ids, *off.ids)


def _credentials(luggage: Luggage, report: Report) -> Iterator[tuple[Credential, bool]]:
    """Yield each usable credential, and whether it comes in disabled."""
    for kind, secrets in ((Key.Kind.AI_STUDIO, luggage.keys), (Key.Kind.VERTEX_EXPRESS, luggage.express_keys)):
        for secret in secrets:
            if is_usable(secret.text):
                yield Credential.of_key(secret.text, kind), secret.disabled
            else:
                report.keys.refused += 1
    for secret in luggage.accounts:
        accounts, faults = parse_each(secret.text, secret.number)
        usable = [one for one in accounts if is_token_server(one.token_uri, settings.VERTEX_BASE_URL)]
        yield from ((Credential.of_account(account), secret.disabled) for account in usable)
        elsewhere = len(accounts) - len(usable)
        report.keys.refused += len(faults) + elsewhere
        of = f" of {secret.place}" if secret.place else ""
        report.notes += [f"Service accounts{of} cannot be used: {fault}." for fault in faults]
        if elsewhere:
            report.notes.append(f"{elsewhere} service accounts{of} cannot be used: their token_uri is not Google's.")


def _tell_of_vertex(new_keys: tuple[int, ...], report: Report) -> None:
    of_vertex = Key.objects.exclude(kind=Key.Kind.AI_STUDIO).values_list("pk", flat=True)
    if not current_behaviour().enable_vertex and not set(new_keys).isdisjoint(of_vertex):
        report.notes.append("Vertex AI is off here: its credentials serve once ENABLE_VERTEX is on.")


def _members(guests: Iterable[Guest], report: Report) -> None:
    closed: dict[str, list[str]] = {}
    for guest in guests:
        name = _member(guest, report)
        if name and guest.closed:
            closed.setdefault(guest.closed, []).append(name)
    for why, names in closed.items():
        report.notes.append(f"{len(names)} members are disabled here, because each {why}: {some(names)}.")
    weak = [guest.name for guest in guests if not guest.closed and _is_weak(guest)]
    if weak:
        report.notes.append(
            f"WARNING: the password of {some(weak)} is easy to guess: whoever finds this address can use your keys. "
            "Choose a longer one."
        )


def _is_weak(guest: Guest) -> bool:
    try:
        enrolling.check_strength(guest.password, guest.name)
    except enrolling.WeakPassword:
        return True
    return False


def _member(guest: Guest, report: Report) -> str:
    """Make a member of a guest; return the name, "" when there is no new one."""
    counts = report.members
    if Member.objects.filter(digest=vault.digest(guest.password)).exists():
        counts.skipped += 1
        return ""
    member = _default_member(guest) or Member(
        name=_free_name(guest.name),
        enabled=not guest.closed,
        note="Moved in.",
        expires_at=guest.expires_at,
        allowed_models="\n".join(guest.allowed_models),
    )
    try:
        enrolling.give_password(member, guest.password)
    except enrolling.Refused as error:
        counts.refused += 1
        report.notes.append(f"{member.name} is left out: {error}")
        return ""
    counts.added += 1
    return member.name


def _default_member(guest: Guest) -> Member | None:
    """Return the member that stands for PASSWORD while that is unset: a password shared by all is its own."""
    if guest.name != enrolling.SHARED_NAME or settings.PASSWORD is not None:
        return None
    return Member.objects.filter(name=guest.name, source=Source.ENVIRONMENT).first()


def _free_name(name: str) -> str:
    tried = _names(" ".join(name.replace("<", "").replace(">", "").split()) or "member")
    return next(one for one in tried if not Member.objects.filter(name=one).exists())


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name[:70]} ({number})"
        number += 1


def _settings(given: Mapping[str, str], unknown: Iterable[str], report: Report) -> None:
    row, _ = Settings.objects.get_or_create(pk=ONLY_ROW)
    now = current_behaviour()
    nameless, at_start = list(unknown), []
    for name, text in given.items():
        variable = _BY_NAME.get(name)
        if not text.strip():
            continue
        if variable is None:
            nameless.append(name)
        elif variable.name.lower() not in _BEHAVIOUR:
            at_start.append(name)
        else:
            _setting(row, now, name, variable, text.strip(), report)
    row.save()
    if at_start:
        report.notes.append(
            f"Left behind: {len(at_start)} settings that are read at the start only; "
            f"set them as variables: {', '.join(sorted(at_start))}."
        )
    if nameless:
        report.notes.append(
            f"Left behind: {len(nameless)} settings that mean nothing here: {', '.join(sorted(nameless))}."
        )


def _setting(row: Settings, now: Behaviour, name: str, variable: Variable, text: str, report: Report) -> None:
    field_name = variable.name.lower()
    try:
        value = variable.kind.read(text)
    except Unfit:
        report.settings.refused += 1
        report.notes.append(f"{name} is left out: it must be {variable.kind.allowed}.")
        return
    is_chosen = getattr(row, field_name) not in (None, "")
    if is_chosen or value == getattr(now, field_name):
        report.settings.skipped += 1
        return
    setattr(row, field_name, "\n".join(value) if isinstance(value, tuple) else value)
    report.settings.added += 1
