"""From what went wrong to the sentence a client reads: whose limit or fault it is, and when it ends."""

from __future__ import annotations

import math
from typing import Any, Final

from django.utils.translation import gettext_noop as _

from keys.ledger.windows import Refusal, Slots
from keys.pool import Unavailable
from keys.rules import Outcome
from proxy import errors
from proxy.breaker import Outage
from proxy.errors import Quoted
from proxy.fetching import Unfetchable
from proxy.translation.invalid import Invalid

UPSTREAM_REST_SECONDS: Final = 10.0
# Nobody knows when a running request ends; clients that wait by themselves try again after this long.
SLOT_REST_SECONDS: Final = 5.0

LIMIT_SENTENCES: Final = {
    "minute": _("Member %(member)s has used the %(limit)s requests of this minute; try again in %(wait)s."),
    "day": _("Member %(member)s has used the %(limit)s requests of today; they come back in %(wait)s."),
    "tokens": _("Member %(member)s has used the %(limit)s tokens of today; they come back in %(wait)s."),
    "model-minute": _(
        "Member %(member)s has used the %(limit)s requests of this minute for %(models)s; try again in %(wait)s."
    ),
    "model-day": _(
        "Member %(member)s has used the %(limit)s requests of today for %(models)s; they come back in %(wait)s."
    ),
    "model-tokens": _(
        "Member %(member)s has used the %(limit)s tokens of today for %(models)s; they come back in %(wait)s."
    ),
    "address": _("Your address has used its %(limit)s requests of today; they come back in %(wait)s."),
}
ALL_RUNNING: Final = _(
    "Member %(member)s has as many requests running as it may have (%(limit)s); try again when one has ended."
)
RESTING: Final = _("All keys that can serve %(model)s are resting; the first returns in %(wait)s.")
BUSY: Final = _("All keys that can serve %(model)s are busy with other requests; try again in a moment.")
EXHAUSTED: Final = _("All keys that can serve %(model)s have used up their day; the first returns in %(wait)s.")
NO_KEYS: Final = _("There is no usable Gemini key; the admin of this server can add one at /admin/.")
NOT_OFFERED: Final = _('None of the keys is offered the model "%(model)s".')
UNKNOWN_MODEL: Final = _('The model "%(model)s" does not exist here.')
FORBIDDEN_MODEL: Final = _('The model "%(model)s" is not allowed here.')
NOT_THIS_METHOD: Final = _('The model "%(model)s" does not know %(method)s.')
NOT_A_CHAT_MODEL: Final = _('The model "%(model)s" cannot chat.')

BOTCHED: Final = _(
    "The model botched its answer, and botched it again (%(reason)s); send it once more, or make its tools simpler."
)

AFTER_ATTEMPTS: Final = {
    Outcome.EMPTY: (errors.EmptyAnswer, _("Gemini answered without any text, %(attempts)s times in a row.")),
    Outcome.TRUNCATED: (
        errors.AnswerTruncated,
        _("The model spent all its tokens on thoughts before any text; raise max_tokens or lower the thinking."),
    ),
    Outcome.BLOCKED: (errors.ContentBlocked, _("Google blocked this: %(category)s.")),
    Outcome.LOCATION: (
        errors.LocationRefused,
        _("Google does not serve the location of this server, so no key can answer: %(message)s"),
    ),
    Outcome.BAD_REQUEST: (errors.BadRequest, _("Google refused the request: %(message)s")),
    Outcome.NOT_FOUND: (errors.UnknownModel, _('Google does not offer the model "%(model)s" to these keys.')),
    Outcome.KEY_REJECTED: (errors.UpstreamRefused, _("Google refused every key that was tried: %(message)s")),
    Outcome.RATE_LIMITED: (
        errors.UpstreamFailed,
        _("Google's rate limits refused all %(attempts)s attempts; try again shortly."),
    ),
    Outcome.TIMEOUT: (errors.UpstreamFailed, _("Gemini did not answer within %(seconds)s s.")),
}
FAILED: Final = (
    errors.UpstreamFailed,
    _("Gemini failed in all %(attempts)s attempts (%(message)s); try again shortly."),
)
OUT: Final = _("%(upstream)s is out: none of the last %(faults)s attempts was answered; it is asked again in %(wait)s.")
OUT_FOR_MODEL: Final = _(
    "%(upstream)s is out for %(model)s: the last %(faults)s attempts all failed; it is asked again in %(wait)s."
)
JOURNAL_FULL: Final = _("The database of this server is away and the waiting line is full; try again shortly.")
LEDGER_AWAY: Final = _("This server cannot count its limits now: Redis does not answer; try again shortly.")
UNFETCHABLE: Final = _("The media at %(place)s cannot be fetched: %(reason)s.")
NOT_JSON: Final = _("The request body is not valid JSON (line %(line)s, column %(column)s).")
NO_FETCHING: Final = _("Media at an address is not fetched here; send it as a data: URL.")
STOPPING: Final = _("This server is shutting down; try again in a moment.")
UNEXPECTED: Final = _("Something went wrong inside this server; its log knows more.")
WRONG_PASSWORD: Final = _("This password is not known here; ask the admin of this server.")
NO_PASSWORD: Final = _("A password is needed: send it as a Bearer token or as x-goog-api-key.")
TOO_MANY_GUESSES: Final = _("Too many wrong passwords came from your address; try again in %(wait)s.")
STOPPED_EARLY: Final = _("The answer broke off here: Gemini's connection was cut (%(message)s).")


def limit_reached(refusal: Refusal, member: str, now: float) -> errors.LimitReached:
    """Return the error for a window that is used up, naming it and its end."""
    kind, *rest = refusal.window.name.split(":")
    which = kind if kind == "address" else rest[1]
    wait = max(refusal.resets_at - now, 0.0)
    values = {"member": Quoted(member), "limit": refusal.window.limit, "wait": duration(wait)}
    if which.startswith("model-"):
        values["models"] = rest[2]
    return errors.LimitReached(LIMIT_SENTENCES[which], values, retry_after=wait)


def all_running(slots: Slots, member: str) -> errors.LimitReached:
    """Return the error for a member who has as many requests running as it may have."""
    values = {"member": Quoted(member), "limit": slots.limit}
    return errors.LimitReached(ALL_RUNNING, values, retry_after=SLOT_REST_SECONDS)


def no_key(unavailable: Unavailable, model: str, now: float) -> errors.HajimiError:
    """Return the error for a pool that has no key for ``model`` now."""
    values: dict[str, Any] = {"model": Quoted(model)}
    if unavailable.why == "no_keys":
        return errors.NoKeys(NO_KEYS)
    if unavailable.why == "busy":
        return errors.KeysBusy(BUSY, values, retry_after=1.0)
    if unavailable.why == "not_offered" or unavailable.until is None:
        return errors.UnknownModel(NOT_OFFERED, values, param="model")
    wait = max(unavailable.until.timestamp() - now, 1.0)
    template = RESTING if unavailable.why == "resting" else EXHAUSTED
    return errors.KeysResting(template, values | {"wait": duration(wait)}, retry_after=wait)


def too_many_guesses(wait: float) -> errors.TooManyGuesses:
    """Return the error for an address that has guessed too often; ``wait`` is in seconds."""
    return errors.TooManyGuesses(TOO_MANY_GUESSES, {"wait": duration(wait)}, retry_after=wait)


def outage(outage: Outage) -> errors.UpstreamFailed:
    """Return the error for an upstream that is not even asked now, because it answers nobody."""
    values = {
        "upstream": outage.upstream,
        "model": Quoted(outage.model),
        "faults": outage.faults,
        "wait": duration(outage.wait),
    }
    template = OUT_FOR_MODEL if outage.model else OUT
    return errors.UpstreamFailed(template, values, retry_after=max(outage.wait, 1.0), code="upstream_out")


def after_attempts(outcome: Outcome, *, malformed: str = "", **values: Any) -> errors.HajimiError:
    """Return the error for a request whose last attempt ended with ``outcome``.

    ``malformed`` is Google's word for how the model botched its answer, "" when it did not; ``values``: model,
    attempts, message (Google's, masked), category, seconds.
    """
    if malformed:
        return errors.EmptyAnswer(BOTCHED, {"reason": malformed})
    error, template = AFTER_ATTEMPTS.get(outcome, FAILED)
    shown = values | {"model": Quoted(values.get("model", ""))}
    rest = UPSTREAM_REST_SECONDS if error.retry else None
    return error(template, shown, retry_after=rest, param="model" if outcome is Outcome.NOT_FOUND else None)


def invalid(error: Invalid) -> errors.BadRequest:
    """Return the client's error for a mistake that the pure layer found."""
    values = {name: Quoted(value) if isinstance(value, str) else value for name, value in error.values.items()}
    return errors.BadRequest(error.template, values, param=error.param, code=error.code)


# What a refusal means in the log's words; LimitReached, NotReady and the like are hajimi's own.
OUTCOMES: Final[dict[type[errors.HajimiError], Outcome]] = {
    errors.EmptyAnswer: Outcome.EMPTY,
    errors.AnswerTruncated: Outcome.TRUNCATED,
    errors.ContentBlocked: Outcome.BLOCKED,
    errors.BadRequest: Outcome.BAD_REQUEST,
    errors.UnknownModel: Outcome.NOT_FOUND,
    errors.KeysResting: Outcome.NO_KEY,
    errors.NoKeys: Outcome.NO_KEY,
    errors.LocationRefused: Outcome.LOCATION,
    errors.UpstreamRefused: Outcome.KEY_REJECTED,
    errors.UpstreamFailed: Outcome.UNAVAILABLE,
    errors.StoppedEarly: Outcome.PARTIAL,
}


def outcome_of(error: errors.HajimiError) -> Outcome:
    """Return how a request that was refused with ``error`` ended, in the log's words."""
    return OUTCOMES.get(type(error), Outcome.REFUSED)


def unfetchable(error: Unfetchable) -> errors.BadRequest:
    """Return the client's error for media that could not be fetched."""
    values = {"place": error.place, "reason": error.reason}
    return errors.BadRequest(UNFETCHABLE, values, param=error.place)


def duration(seconds: float) -> str:
    """Return ``seconds`` for people: "45 s", "12 min", "3 h 20 min"."""
    whole = max(math.ceil(seconds), 1)
    if whole < 120:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
