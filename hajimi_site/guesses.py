"""Pauses for those who guess an admin's password: they grow, outlive a restart, and shut nobody else out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

# How long an address waits after its last free guess, and after each one that follows.
PAUSES: Final = (60.0, 300.0, 900.0, 3600.0)
FREE_GUESSES: Final = 8
# A name that many have guessed at is under siege. Pausing the name itself would shut out whose name it is, so every
# address has one guess instead of eight before its pauses begin.
SIEGE: Final = 24
FREE_UNDER_SIEGE: Final = 1
# Wrong guesses are forgotten after this time without another.
FORGOTTEN_AFTER: Final = timedelta(hours=24)

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nobody binds to it
_TRIES: Final = 20

logger = logging.getLogger(__name__)


def pause_after(wrong: int, at_name: int) -> float:
    """Return how many seconds an address with so many wrong guesses waits; ``at_name``: all at one name. Pure."""
    beyond = wrong - (FREE_UNDER_SIEGE if at_name >= SIEGE else FREE_GUESSES)
    return 0.0 if beyond < 0 else PAUSES[min(beyond, len(PAUSES) - 1)]


@dataclass(frozen=True, slots=True)
class Guess:
    """What a request was counted as: how long its address waits, the name's digest, the address's row."""

    pause: float = 0.0
    name: str = ""
    before: AccessAttempt | None = None
    after: AccessAttempt | None = None


def of(request: HttpRequest) -> Guess:
    """Return what a request was counted as."""
    guess: Guess = getattr(request, "guess", Guess())
    return guess


def waiting_seconds(request: HttpRequest) -> int:
    """Return how long the address of a request has to wait now; one second at least."""
    return max(1, ceil(of(request).pause))


def take_back(request: HttpRequest) -> None:
    """Undo the guess that this request was counted as: its password was right.

    Earlier ones stay: whoever has an account must not be able to guess at another one between two right passwords.
    """
    guess = of(request)
    if guess.before is None or guess.after is None:
        return
    _at(guess.after).update(**_standing(guess.before))
    _rows(guess.name, ANY_ADDRESS).filter(failures_since_start__gt=0).update(
        failures_since_start=F("failures_since_start") - 1
    )


class GrowingPauses(AxesDatabaseHandler):  # type: ignore[misc]
    """Counts guesses in the rows of django-axes: one for each address, one for each name (as a digest).

    A guess is counted before it is looked at, so that a hundred at the same moment are a hundred guesses.
    """

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Count a guess; tell whether its address must wait, in which case it was not counted."""
        forget(timezone.now())
        request.guess = guess = count(request.axes_ip_address, _digest((credentials or {}).get("username")))
        return guess.after is None

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        """The guess was wrong, and is counted already: say so at once when the address has to wait from now on."""
        if request is not None and of(request).pause:
            request.axes_locked_out = True
            logger.warning(
                "%s guesses at an admin's password and has to wait %d s", request.axes_ip_address, of(request).pause
            )

    def user_logged_in(self, sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
        """Nothing to do: the right password has been noted where it was checked."""

    def user_logged_out(self, sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
        """Nothing to do."""


def forget(now: datetime) -> None:
    """Drop what is older than anything counts."""
    AccessAttempt.objects.filter(attempt_time__lte=now - FORGOTTEN_AFTER).delete()


def count(address: str, name: str) -> Guess:
    """Count a guess unless its address has to wait; ``name`` is a digest."""
    # Only a guess that counts makes rows: whoever has to wait must not fill the table with names.
    at_name = _rows(name, ANY_ADDRESS).values_list("failures_since_start", flat=True).first() or 0
    for _ in range(_TRIES):
        before, now = _row("", address), timezone.now()
        pause = pause_after(before.failures_since_start, at_name)
        if (waited := (now - before.attempt_time).total_seconds()) < pause:
            return Guess(pause - waited)
        wrong = before.failures_since_start + 1
        after = AccessAttempt(pk=before.pk, failures_since_start=wrong, attempt_time=now)
        # Where another guess was counted meanwhile, this one is the next.
        if _at(before).update(**_standing(after)):
            _row(name, ANY_ADDRESS)
            _rows(name, ANY_ADDRESS).update(failures_since_start=F("failures_since_start") + 1, attempt_time=now)
            return Guess(pause_after(wrong, at_name), name, before, after)
    return Guess(PAUSES[0])


def _digest(name: Any) -> str:
    """Return what a name is counted by: people type passwords into the wrong field, and this is kept."""
    return salted_hmac("hajimi.guesses", str(name or "")).hexdigest()


def _row(name: str, address: str) -> AccessAttempt:
    blank = {"get_data": "", "post_data": "", "http_accept": "", "path_info": "", "failures_since_start": 0}
    row, _made = AccessAttempt.objects.get_or_create(username=name, ip_address=address, user_agent="", defaults=blank)
    return row


def _rows(name: str, address: str) -> Any:
    return AccessAttempt.objects.filter(username=name, ip_address=address, user_agent="")


def _standing(row: AccessAttempt) -> dict[str, Any]:
    return {"failures_since_start": row.failures_since_start, "attempt_time": row.attempt_time}


def _at(row: AccessAttempt) -> Any:
    """Return the row as long as it is as we know it."""
    return AccessAttempt.objects.filter(pk=row.pk, **_standing(row))
