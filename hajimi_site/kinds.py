"""The kinds of values an environment variable can have: how each is read, and what it allows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keys.accounts import Account, BadAccount, parse

TRUE: Final = frozenset({"true", "1", "yes", "on"})
FALSE: Final = frozenset({"false", "0", "no", "off"})


Number = TypeVar("Number", int, float)


class Unfit(ValueError):
    """A text does not fit a kind. A message, where there is one, says what is wrong without showing the text."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to read a text: ``read`` returns the value or raises Unfit; ``allowed`` tells people."""

    read: Callable[[str], Any]
    allowed: str


def whole(least: int, most: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise Unfit
        return _within(int(text), least, most)

    return Kind(read, f"a whole number, {_span(least, most)}")


def decimal(least: float, most: float | None = None) -> Kind:
    """Return the kind of numbers, decimals allowed, from ``least`` to ``most``."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})", text):
            raise Unfit
        return _within(float(text), least, most)

    return Kind(read, f"a number, {_span(least, most)}")


def _within(number: Number, least: float, most: float | None) -> Number:
    if number < least or (most is not None and number > most):
        raise Unfit
    return number


def _span(least: float, most: float | None) -> str:
    return f"{least:g} to {most:g}" if most is not None else f"{least:g} or more"


def one_of(*words: str) -> Kind:
    """Return the kind of texts that are one of ``words``, in any letter case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise Unfit
        return text.lower()

    return Kind(read, " or ".join(words))


def _yes_or_no(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise Unfit
    return text.lower() in TRUE


def split(text: str) -> tuple[str, ...]:
    """Return the pieces of a list written with commas, semicolons, spaces or new lines, without quotes."""
    pieces = (piece.strip("\"'") for piece in re.split(r"[\s,;，；]+", text))
    return tuple(piece for piece in pieces if piece)


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unfit from None
    return text


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text) or not _port_is_good(text):
        raise Unfit
    return text.rstrip("/")


def _proxy(text: str) -> str:
    # Most programs take a proxy without a scheme, and mean this one.
    text = text if "://" in text else f"http://{text}"
    if not re.fullmatch(r"(?i)https?://[^\s/?#]+/?", text) or not _port_is_good(text):
        raise Unfit
    return text


def _port_is_good(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _database_url(text: str) -> str:
    if not re.fullmatch(r"sqlite:///.+|postgres(ql)?://.+", text) or not _port_is_good(text):
        raise Unfit
    return text


def _redis_url(text: str) -> str:
    # Valkey speaks the same language; the library knows only the older name.
    text = re.sub(r"^valkey(s?)://", r"redis\1://", text)
    # Several hosts, as for Sentinel or a cluster, would have to be a choice of whoever writes the address.
    if not re.fullmatch(r"rediss?://[^\s/?#,]+(/[0-9]*)?(\?\S*)?|unix://\S+", text) or not _port_is_good(text):
        raise Unfit
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,40}", text):
        raise Unfit
    return text


def _origins(text: str) -> tuple[str, ...]:
    pieces = tuple(piece.rstrip("/") for piece in split(text))
    if not all(re.fullmatch(r"https?://[^\s/?#]+", piece) for piece in pieces):
        raise Unfit
    return pieces


def _origins_or_all(text: str) -> tuple[str, ...]:
    return () if text == "*" else _origins(text)


def _networks(text: str) -> tuple[str, ...]:
    pieces = split(text)
    try:
        for piece in pieces:
            ip_network(piece, strict=False)
    except ValueError:
        raise Unfit from None
    return pieces


def _password(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text):
        raise Unfit
    return text


def _accounts(text: str) -> tuple[Account, ...]:
    try:
        return parse(text)
    except BadAccount as error:
        raise Unfit(str(error)) from None


def _location(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,40}", text.lower()):
        raise Unfit
    return text.lower()


YES_NO: Final = Kind(_yes_or_no, "true, 1, yes, on or false, 0, no, off")
TEXT: Final = Kind(str, "any text")
NAMES: Final = Kind(split, "names, separated by commas, spaces or new lines")
URL: Final = Kind(_http_url, "an address like https://host or http://host:port/path")
PROXY: Final = Kind(
    _proxy, "the address of an HTTP proxy like host:port or http://user:password@host:port; SOCKS is not spoken here"
)
DATABASE_URL: Final = Kind(_database_url, "sqlite:///path, or postgres://user:password@host:port/name")
REDIS_URL: Final = Kind(
    _redis_url,
    "the address of one server like redis://user:password@host:port/0, rediss:// for TLS or unix://path; "
    "Sentinel and clusters are reached through their proxy or service address",
)
WORD: Final = Kind(_word, "a word of letters, digits and _.:-")
ORIGINS: Final = Kind(_origins, "origins like https://host or http://host:port, separated by commas or spaces")
ORIGINS_OR_ALL: Final = Kind(_origins_or_all, "* or origins like https://host, separated by commas or spaces")
TIME_ZONE: Final = Kind(_time_zone, "a time zone like Asia/Shanghai")
ACCOUNTS: Final = Kind(
    _accounts, "service accounts as Google's JSON files hold them, one or several, or base64 of that"
)
LOCATION: Final = Kind(_location, "global, or a region like us-central1")
NETWORKS: Final = Kind(_networks, "addresses or networks like 10.0.0.0/8, separated by commas")
PASSWORD: Final = Kind(_password, "printable ASCII without spaces at the ends")
