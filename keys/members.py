"""Credential -> member, and what happens to those who guess."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keys import vault
from keys.places import place_of

FREE_GUESSES: Final = 10
LONGEST_PAUSE: Final = 900.0
# Wrong guesses are forgotten after this many seconds without another.
FORGOTTEN_AFTER: Final = 3600.0

_MOST_ADDRESSES: Final = 10_000
_MOST_PASSWORDS: Final = 16


@dataclass(frozen=True, slots=True)
class ModelLimitView:
    """What a member may have of the models that ``pattern`` covers; 0: no limit. ``covers`` takes Google's name."""

    pattern: str
    covers: Callable[[str], object]
    requests_per_minute: int = 0
    requests_per_day: int = 0
    tokens_per_day: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """What a member has of its own among the settings: () and None mean that everybody's hold."""

    allowed_models: tuple[str, ...] = ()
    blocked_models: tuple[str, ...] = ()
    fake_streaming: bool | None = None
    random_string: bool | None = None


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as requests see it: limits resolved (None: no limit of its own), enabled."""

    id: int
    name: str
    digest: str
    requests_per_minute: int | None
    requests_per_day: int | None
    tokens_per_day: int | None
    expires_at: datetime | None
    parallel_requests: int | None = None
    model_limits: tuple[ModelLimitView, ...] = ()
    own: Own | None = None
    # Its password is PASSWORD of the environment, which everybody may have.
    follows_environment: bool = False


# Stands in for a member where a password is nobody's: it can be compared, and never matches.
_NOBODY: Final = MemberView(0, "", "0" * 64, None, None, None, None)
_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


class UnknownPassword(Exception):
    """No member has this password now: it is wrong, missing, disabled or expired."""


class Throttled(Exception):
    """Too many wrong passwords came from this address; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Too many wrong passwords came from this address; wait {retry_after:.0f} s.")
        self.retry_after = retry_after


def credential(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the password a request carries, or None.

    ``headers`` are named in lower case (or looked up in any case). Authorization comes last: behind a private
    Space it carries the platform's own token.
    """
    scheme, _, bearer = headers.get("authorization", "").strip().partition(" ")
    found = (
        headers.get("x-api-key", ""),
        headers.get("x-goog-api-key", ""),
        query.get("key", ""),
        bearer if scheme.lower() == "bearer" else "",
    )
    return next((text.strip() for text in found if text.strip()), None)


class Doorkeeper:
    """Lets members in by their password, and slows down addresses that guess.

    From the tenth wrong guess on an address must pause (1 s, doubling to 15 min), and is refused unchecked
    meanwhile, except with a password that has worked from there before. A good password does not clear
    the guesses: a member must not be able to guess another's. An IPv6 address stands for its /64.
    """

    def __init__(
        self, digest: Callable[[str], str] = vault.digest, tell: Callable[[str, str, str], None] | None = None
    ) -> None:
        self._digest = digest
        # Called for each wrong guess ("guess", place, "") and each password newly proven ("proven", place, digest).
        self._tell = tell or (lambda kind, place, digest: None)
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        # Apart from the guesses: a flood of guessing addresses must not push members out.
        self._proven: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def authenticate(
        self, credential: str | None, address: str, members: Mapping[str, MemberView], now: float
    ) -> MemberView:
        """Return the member whose password this is. Raises UnknownPassword or Throttled.

        ``members`` is by digest and holds enabled members only; ``now`` is in seconds since the epoch.
        """
        if not credential:
            raise UnknownPassword
        place = place_of(address)
        digest = self._digest(credential)
        pause = self._pause(place, now)
        if pause and digest not in self._proven.get(place, ()):
            raise Throttled(pause)
        member = _member(digest, members, now)
        if member is None:
            if not pause:
                self._count(place, now)
                self._tell("guess", place, "")
            raise UnknownPassword
        if self._prove(place, digest):
            self._tell("proven", place, digest)
        return member

    def try_another(self, address: str, now: float) -> None:
        """Count a member's try at what may be another's password, right or wrong. Raises Throttled."""
        place = place_of(address)
        if pause := self._pause(place, now):
            raise Throttled(pause)
        self._count(place, now)
        self._tell("guess", place, "")

    def trust(self, credential: str, address: str) -> None:
        """Note that a password is right at this address: its member has just chosen it there."""
        place, digest = place_of(address), self._digest(credential)
        if self._prove(place, digest):
            self._tell("proven", place, digest)

    def hear_guess(self, place: str, now: float) -> None:
        """Count a wrong guess that another process was asked."""
        if not self._pause(place, now):
            self._count(place, now)

    def hear_proven(self, place: str, digest: str) -> None:
        """Note a password that has worked at another process."""
        self._prove(place, digest)

    def _pause(self, place: str, now: float) -> float:
        guesses = self._guesses.get(place)
        return max(0.0, guesses.until - now) if guesses else 0.0

    def _count(self, place: str, now: float) -> None:
        guesses = self._guesses.get(place)
        if guesses is None or now - guesses.last >= FORGOTTEN_AFTER:
            guesses = self._guesses[place] = _Guesses()
        guesses.wrong += 1
        guesses.last = now
        if guesses.wrong >= FREE_GUESSES:
            guesses.until = now + min(2.0 ** min(guesses.wrong - FREE_GUESSES, 16), LONGEST_PAUSE)
        self._guesses.move_to_end(place)
        if len(self._guesses) > _MOST_ADDRESSES:
            self._guesses.popitem(last=False)

    def _prove(self, place: str, digest: str) -> bool:
        """Keep that a password has worked from a place; tell whether that is new."""
        passwords = self._proven.setdefault(place, OrderedDict())
        is_new = digest not in passwords
        passwords[digest] = None
        passwords.move_to_end(digest)
        self._proven.move_to_end(place)
        if len(passwords) > _MOST_PASSWORDS:
            passwords.popitem(last=False)
        if len(self._proven) > _MOST_ADDRESSES:
            self._proven.popitem(last=False)
        return is_new


class _Guesses:
    """Wrong guesses of one address: how many, when the last was, until when it must pause."""

    __slots__ = ("last", "until", "wrong")

    def __init__(self) -> None:
        self.wrong = 0
        self.last = 0.0
        self.until = 0.0


def _member(digest: str, members: Mapping[str, MemberView], now: float) -> MemberView | None:
    """Return whose digest this is. Does the same work whether it is nobody's, of an expired member, or good."""
    member = members.get(digest, _NOBODY)
    is_same = hmac.compare_digest(member.digest, digest)
    is_late = _end_of(member) <= now
    return member if is_same and not is_late else None


def _end_of(member: MemberView) -> float:
    return (member.expires_at or _NEVER).timestamp()
