"""Pasted text -> well-formed keys -> rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_save

from keys import vault
from keys.accounts import Account, check_token_servers, is_like_accounts, parse
from keys.models import Key, Source

# Google's two forms: the classic one of 39 characters, and the newer one, of which the length is not promised.
_KEY: Final = re.compile(r"AIza[0-9A-Za-z_-]{35}|AQ\.[0-9A-Za-z_-]{20,200}")
_WORD: Final = re.compile(r"[0-9A-Za-z_.-]+")
# What stands around keys in .env files and numbered lists.
_AROUND: Final = re.compile(r"[._-]*\d{0,4}[._-]*|(?:GEMINI|GOOGLE)_API_KEYS?(?:_\d+)?", re.IGNORECASE)
VARIABLE_OF: Final[Mapping[str, str]] = {
    Key.Kind.AI_STUDIO: "GEMINI_API_KEYS",
    Key.Kind.VERTEX_EXPRESS: "VERTEX_EXPRESS_API_KEY",
    Key.Kind.VERTEX_SERVICE_ACCOUNT: "GOOGLE_CREDENTIALS_JSON",
}
_USABLE: Final = re.compile(r"[\x21-\x7e]{1,300}")


@dataclass(frozen=True, slots=True)
class Finding:
    """A word of a text that brings no new key. ``hint`` is enough to find it there, and too little to be used.

    ``first_line`` is where a repeated key stood first; None: the word is no key at all.
    """

    line: int
    hint: str
    first_line: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """Keys found in a text, in its order, each once and with its line; and what else stood there, line by line."""

    places: Mapping[str, int] = field(repr=False)
    findings: tuple[Finding, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in their order."""
        return tuple(self.places)

    @property
    def duplicates(self) -> int:
        """How many keys stood there again."""
        return sum(finding.first_line is not None for finding in self.findings)

    @property
    def malformed(self) -> tuple[str, ...]:
        """Hints at the words that are no keys."""
        return tuple(finding.hint for finding in self.findings if finding.first_line is None)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of keys: new ones, known ones, and those of the known that were brought back.

    ``ids`` are the new keys' rows, ``there_before`` the known secrets.
    """

    added: int
    known: int
    revived: int
    ids: tuple[int, ...] = ()
    there_before: tuple[str, ...] = field(default=(), repr=False)


def parse_keys(text: str) -> Parsed:
    """Find the keys in ``text``, whatever stands between them: commas, new lines, quotes, brackets, other scripts."""
    places: dict[str, int] = {}
    findings: list[Finding] = []
    for line, word in _words(text):
        if not _KEY.fullmatch(word):
            if not _AROUND.fullmatch(word):
                findings.append(Finding(line, _hint(word)))
        elif word in places:
            findings.append(Finding(line, f"…{vault.tail(word)}", places[word]))
        else:
            places[word] = line
    return Parsed(places, tuple(findings))


def _words(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, word.strip(".")) for word in _WORD.findall(line))


def is_usable(secret: str) -> bool:
    """Tell whether a secret can travel in a header: visible ASCII, without spaces."""
    return bool(_USABLE.fullmatch(secret))


def is_cut(secret: str) -> bool:
    """Tell whether a secret begins as Google's keys do and is no whole one: the rest was left out, or more pasted."""
    return secret.startswith(("AIza", "AQ.")) and not _KEY.fullmatch(secret)


@dataclass(frozen=True, slots=True)
class Credential:
    """What becomes a key. ``identity`` is what makes it the same one when it comes again, written another way."""

    secret: str = field(repr=False)
    identity: str = field(repr=False)
    tail: str
    kind: str = Key.Kind.AI_STUDIO
    label: str = ""

    @classmethod
    def of_key(cls, secret: str, kind: str = Key.Kind.AI_STUDIO) -> Credential:
        """Return an API key's."""
        return cls(secret, secret, vault.tail(secret), kind)

    @classmethod
    def of_account(cls, account: Account) -> Credential:
        """Return a service account's."""
        kind = Key.Kind.VERTEX_SERVICE_ACCOUNT
        return cls(account.secret, account.identity, account.tail, kind, account.client_email.partition("@")[0][:80])


def environment_credentials(
    keys: Iterable[str], express_keys: Iterable[str], accounts: Iterable[Account]
) -> dict[str, list[Credential]]:
    """Return by kind what the environment's variables hold; ``keys`` are of AI Studio."""
    return {
        Key.Kind.AI_STUDIO: [Credential.of_key(secret) for secret in keys],
        Key.Kind.VERTEX_EXPRESS: [Credential.of_key(secret, Key.Kind.VERTEX_EXPRESS) for secret in express_keys],
        Key.Kind.VERTEX_SERVICE_ACCOUNT: [Credential.of_account(account) for account in accounts],
    }


def accounts_in(text: str) -> list[Credential]:
    """Return the service accounts of a text that is meant to be some; none of one with API keys. Raises BadAccount."""
    if not is_like_accounts(text) or _is_list_of_keys(text):
        return []
    accounts = parse(text)
    check_token_servers(accounts, settings.VERTEX_BASE_URL)
    return [Credential.of_account(account) for account in accounts]


def _is_list_of_keys(text: str) -> bool:
    """Tell whether a text is a list of API keys as JSON writes one."""
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(read, list) and any(isinstance(one, str) and _KEY.fullmatch(one) for one in read)


def import_keys(secrets: Iterable[str], source: Source) -> Imported:
    """Add the keys that are not there yet. Safe to repeat.

    A known key that had left the environment comes back; one disabled by an admin or by Google stays out.
    A key that an admin imports is the admin's from then on: it no longer leaves with the environment.
    """
    return import_credentials(map(Credential.of_key, secrets), source)


@transaction.atomic
def import_credentials(credentials: Iterable[Credential], source: Source, *, disabled_because: str = "") -> Imported:
    """Do the same with credentials of any kind.

    With ``disabled_because`` new ones come in disabled for that reason, and known ones stay as they are.
    """
    by_digest = {vault.digest(credential.identity): credential for credential in credentials}
    known = {key.digest: key for key in Key.objects.all() if key.digest in by_digest}
    new = [
        _row(credential, digest, source, disabled_because)
        for digest, credential in by_digest.items()
        if digest not in known
    ]
    made = Key.objects.bulk_create(new)
    for key in made[-1:]:
        # One signal tells the runtime of all of them; a save for each would take seconds for a thousand.
        post_save.send(Key, instance=key, created=True, raw=False, using=key._state.db, update_fields=None)
    revived = 0 if disabled_because else sum(_welcome(key, source) for key in known.values())
    there_before = tuple(one.secret for digest, one in by_digest.items() if digest in known)
    return Imported(len(made), len(known), revived, tuple(key.pk for key in made), there_before)


def leave_environment(staying_credentials: Iterable[Credential]) -> Mapping[str, int]:
    """Disable the environment's keys that are not among these any more; return how many, by kind."""
    staying = {vault.digest(credential.identity) for credential in staying_credentials}
    leaving = [
        key
        for key in Key.objects.filter(source=Source.ENVIRONMENT, disabled_by=Key.DisabledBy.NOBODY)
        if key.digest not in staying
    ]
    for key in leaving:
        key.disabled_by = Key.DisabledBy.ENVIRONMENT
        key.disabled_reason = f"It is no longer in {VARIABLE_OF[key.kind]}."
        key.save(update_fields=["disabled_by", "disabled_reason"])
    return Counter(key.kind for key in leaving)


def _row(credential: Credential, digest: str, source: Source, disabled_because: str) -> Key:
    return Key(
        kind=credential.kind,
        ciphertext=vault.encrypt(credential.secret),
        digest=digest,
        tail=credential.tail,
        label=credential.label,
        source=source,
        disabled_by=Key.DisabledBy.ADMIN if disabled_because else Key.DisabledBy.NOBODY,
        disabled_reason=disabled_because,
    )


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
