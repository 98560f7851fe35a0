"""Vertex service accounts: pasted text -> well-formed accounts. No input or output."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# What Google's file of a service account holds and we need: cloud.google.com/iam/docs/keys-create-delete
NEEDED: Final = ("project_id", "private_key", "client_email")
KEPT: Final = ("type", "project_id", "private_key_id", "private_key", "client_email", "token_uri")
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
KIND: Final = "service_account"

_PEM: Final = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----\s.+-----END (?:RSA )?PRIVATE KEY-----\s*", re.DOTALL)
_HTTP: Final = re.compile(r"https?://[^\s/]+(/\S*)?")
_GOOGLES: Final = re.compile(
    r"https://(?:accounts\.google\.com|(?:[a-z0-9-]+\.)+googleapis\.com)(?::443)?/[\x21-\x7e]*", re.IGNORECASE
)
_PROJECT: Final = re.compile(r"[A-Za-z0-9:._-]{1,100}")
_GAP: Final = re.compile(r"[\s,;]*")
_MOST_ACCOUNTS: Final = 1000


def _(text: str) -> str:
    """Mark a sentence for translation; it is translated where it is shown."""
    return text


class BadAccount(ValueError):
    """A text is no service account. The message says what is missing, and shows nothing of what is there.

    ``template`` % ``values`` is the message; the template may be translated.
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(template % values)


@dataclass(frozen=True, slots=True)
class Account:
    """One service account. ``secret`` is what is stored, encrypted: the JSON, without what we do not need."""

    project_id: str
    client_email: str
    private_key_id: str
    token_uri: str
    secret: str = field(repr=False)

    @property
    def info(self) -> Mapping[str, str]:
        """The fields as Google's libraries read them."""
        read: dict[str, str] = orjson.loads(self.secret)
        return read

    @property
    def identity(self) -> str:
        """What makes it the same account when it is pasted again, written another way."""
        return f"{self.client_email}\n{self.private_key_id}\n{self.info['private_key'].strip()}"

    @property
    def tail(self) -> str:
        """Four characters by which people tell it from another."""
        return (self.private_key_id or self.client_email.partition("@")[0])[-4:]


def is_like_accounts(text: str) -> bool:
    """Tell whether a pasted text is meant to be service accounts rather than API keys."""
    is_json = text.lstrip()[:1] in ("{", "[")
    return is_json or any(map(_decoded, ("".join(text.split()), *_words(text))))


def parse(text: str) -> tuple[Account, ...]:
    """Read the accounts in ``text``, each once: JSON objects one after the other, a list of them, or base64 of either.

    Raises BadAccount.
    """
    accounts, faults = parse_each(text)
    if faults:
        raise faults[0]
    return accounts


def parse_each(text: str, first: int = 1) -> tuple[tuple[Account, ...], tuple[BadAccount, ...]]:
    """Read the accounts in ``text`` as ``parse`` does, each on its own: those that are whole, and what others lack.

    ``first`` is the number by which the first of them is told.
    """
    documents, faults = _read_on(_documents(text.strip()))
    accounts: dict[str, Account] = {}
    for number, document in enumerate(documents, first):
        try:
            account = _account(document, number)
            _check_key(account.info["private_key"], number)
        except BadAccount as fault:
            faults.append(fault)
        else:
            accounts[account.identity] = account
    return tuple(accounts.values()), tuple(faults)


def _read_on(documents: Iterator[Any]) -> tuple[list[Any], list[BadAccount]]:
    """Return what can be read, and the fault after which nothing can."""
    found: list[Any] = []
    try:
        for document in documents:
            if len(found) == _MOST_ACCOUNTS:
                raise BadAccount(_("it holds more than %(most)d service accounts"), most=_MOST_ACCOUNTS)
            found.append(document)
        if not found:
            raise BadAccount(_("it holds no service account"))
    except BadAccount as fault:
        return found, [fault]
    return found, []


def read(secret: str) -> Account:
    """Return the account that was stored. Raises BadAccount when it is none."""
    return _account(next(_values(secret), None), 1)


def is_token_server(address: str, vertex_url: str = "") -> bool:
    """Tell whether tokens may be asked for there: over https at Google, or on the host of ``vertex_url``, if any.

    Whoever writes an account's JSON would otherwise choose where this server sends requests.
    """
    if _GOOGLES.fullmatch(address):
        return True
    own = _host(vertex_url)
    return bool(own) and _host(address) == own and address.startswith(("https:", f"{urlsplit(vertex_url).scheme}:"))


def check_token_servers(accounts: Iterable[Account], vertex_url: str = "") -> None:
    """Raise BadAccount at the first of these accounts whose tokens would come from a place that is no token server."""
    for number, account in enumerate(accounts, 1):
        if not is_token_server(account.token_uri, vertex_url):
            raise BadAccount(_("service account %(number)d has a token_uri that is not Google's"), number=number)


def _host(address: str) -> str:
    """Return the host of an http(s) address; "" when it has none, or hides one behind a user name or a backslash."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host if parts.scheme in ("http", "https") and not re.search(r"[@\\]", address) else ""


def _documents(text: str) -> Iterator[Any]:
    if not text:
        return
    if text[0] not in "{[":
        yield from _documents_in_base64(text)
        return
    for value in _values(text):
        yield from value if isinstance(value, list) else (value,)


def _documents_in_base64(text: str) -> Iterator[Any]:
    """Read base64, one value or several separated by commas or blank space."""
    whole = _decoded("".join(text.split()))
    decoded = [whole] if whole else [_decoded(word) for word in _words(text)]
    if not all(decoded):
        raise BadAccount(_("it is neither JSON nor base64 of JSON"))
    for each in decoded:
        yield from _documents(each)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text) if word]


def _decoded(word: str) -> str:
    try:
        data = base64.b64decode(word.translate(str.maketrans("-_", "+/")) + "=" * (-len(word) % 4), validate=True)
        decoded = data.decode().strip()
    except (binascii.Error, ValueError):
        return ""
    return decoded if decoded[:1] in ("{", "[") else ""


def _values(text: str) -> Iterator[Any]:
    """Read JSON values that stand one after the other, with blank space or commas between them."""
    # Line ends inside the key arrive as they are when the text went through an environment variable.
    decoder = json.JSONDecoder(strict=False)
    place = 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise BadAccount(_("it is not valid JSON")) from None
        yield value
        gap = _GAP.match(text, place)
        place = gap.end() if gap else place


def _account(document: Any, number: int) -> Account:
    if not isinstance(document, dict):
        raise BadAccount(_("service account %(number)d is no JSON object"), number=number)
    kind = document.get("type", KIND)
    if kind != KIND:
        raise BadAccount(
            _('service account %(number)d is of another type: "type" must be "%(type)s"'), number=number, type=KIND
        )
    missing = [name for name in NEEDED if not _text(document, name)]
    if missing:
        raise BadAccount(_("service account %(number)d lacks %(fields)s"), number=number, fields=", ".join(missing))
    # In environment variables the line ends of the key often arrive as the two characters \n.
    private_key = _text(document, "private_key").replace("\\n", "\n")
    if not _PEM.fullmatch(private_key.strip() + "\n"):
        raise BadAccount(_("service account %(number)d has a private_key that is no PEM key"), number=number)
    if not _PROJECT.fullmatch(_text(document, "project_id")):
        raise BadAccount(_("service account %(number)d has a project_id that cannot be one"), number=number)
    token_uri = _text(document, "token_uri") or TOKEN_URI
    if not _HTTP.fullmatch(token_uri):
        raise BadAccount(_("service account %(number)d has a token_uri that is no address"), number=number)
    kept = {name: _text(document, name) for name in KEPT} | {
        "type": KIND,
        "private_key": private_key.strip() + "\n",
        "token_uri": token_uri,
    }
    try:
        secret = orjson.dumps(kept).decode()
    except TypeError:
        # Half surrogate pairs: JSON can write them, nothing can store them.
        raise BadAccount(_("service account %(number)d holds text that is not valid Unicode"), number=number) from None
    return Account(kept["project_id"], kept["client_email"], kept["private_key_id"], token_uri, secret)


def _check_key(private_key: str, number: int) -> None:
    """Raise BadAccount for a key that cannot sign. Not asked of what is stored: a request should not pay for it."""
    try:
        # Whether its numbers make a key takes 0.2 s to find out, for each of up to a thousand accounts.
        key = load_pem_private_key(private_key.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise BadAccount(_("service account %(number)d has a private_key that cannot be read"), number=number)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value.strip() if isinstance(value, str) else ""
