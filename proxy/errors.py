"""Everything that can be refused, and the one table: exception -> status, type, code.

    HajimiError
    ├── BadRequest            400  the request itself: names the field
    ├── ContentBlocked        400  Google withheld the answer or blocked the prompt
    ├── WrongPassword         401
    ├── UnknownModel          404  unknown, blocked, or offered to no key
    ├── UnknownPath           404
    ├── MethodNotAllowed      405
    ├── BodyTooLarge          413
    ├── EncodedBody           415
    ├── TooManyGuesses        429  wrong passwords from one address
    ├── LimitReached          429  a member's, an address's limit
    ├── KeysResting           429  every fitting key is parked or exhausted
    ├── KeysBusy              429  every fitting key carries as much as it may
    ├── EmptyAnswer           502
    ├── AnswerTruncated       502  all tokens went into thoughts
    ├── LocationRefused       502
    ├── UpstreamRefused       502  Google refuses in a way waiting does not heal
    ├── InternalError         500
    ├── NoKeys                503  the pool has no enabled key
    ├── UpstreamFailed        503  every attempt failed
    ├── StoppedEarly          503  cut after visible output (inside a stream)
    └── NotReady              503  starting, stopping, or the database is away

A message is a template and its values: the body's sentence is translated to LANGUAGE_CODE, the reason
phrase is always the English one. Values that a client sent are marked, and never enter a reason phrase.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext

# A reason phrase has 200 characters at most; the request's id takes its share.
REASON_LIMIT = 175
# openai and anthropic's SDKs wait for a Retry-After of so many seconds, and ask again much sooner for a longer one.
CLIENT_PATIENCE = 60.0
_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]+")
_EMPTY_QUOTES = re.compile(r' \(?""\)?')
_SPACES = re.compile(r"\s+")


class Quoted(str):
    """A value that came from a client: shown in the sentence, dropped from the reason phrase."""

    __slots__ = ()


class HajimiError(Exception):
    """A refusal that a client is told in one sentence.

    ``template`` is English with %(name)s places, marked for translation where it is written;
    ``values`` fill it. ``param`` names the field of the request, ``retry_after`` (seconds) when time heals it.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retry: ClassVar[bool] = False
    # True where a client that waits and asks once more gets on: nothing of ours has been tried in vain.
    heals: ClassVar[bool] = False
    # Set once proxy.live knows of it.
    is_noted = False

    def __init__(
        self,
        template: str,
        values: Mapping[str, Any] | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        self.template = template
        self.values = dict(values or {})
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code  # type: ignore[misc]
        super().__init__(self.english())

    @property
    def is_final(self) -> bool:
        """Whether a client had better not ask again by itself: nothing changes as soon as it would."""
        return not self.heals or self.retry_after is None or self.retry_after > CLIENT_PATIENCE

    def sentence(self) -> str:
        """Return the message in LANGUAGE_CODE, in one line."""
        return _SPACES.sub(" ", gettext(self.template) % self.values)

    def for_others(self) -> str:
        """Return the message in LANGUAGE_CODE without anything that a client sent: for pages that others see."""
        shown = {name: "…" if isinstance(value, Quoted) else value for name, value in self.values.items()}
        return _SPACES.sub(" ", gettext(self.template) % shown)

    def english(self) -> str:
        """Return the message in English, with everything that a client sent."""
        return _SPACES.sub(" ", self.template % self.values)

    def reason(self) -> str:
        """Return the English message as a reason phrase: printable ASCII, short enough for one with the id."""
        shown = {name: "" if isinstance(value, Quoted) else value for name, value in self.values.items()}
        text = _NOT_PRINTABLE_ASCII.sub("", _SPACES.sub(" ", self.template % shown))
        return _EMPTY_QUOTES.sub("", text)[:REASON_LIMIT].strip()


class BadRequest(HajimiError):
    """The request is the client's mistake; ``param`` names the place."""

    status, type, code = 400, "invalid_request_error", "invalid_request"


class ContentBlocked(HajimiError):
    """Google blocked the prompt, or withheld the answer."""

    status, type, code = 400, "invalid_request_error", "content_filter"


class WrongPassword(HajimiError):
    """No member has this password (or not now)."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class UnknownModel(HajimiError):
    """The model is unknown, blocked, or offered to none of our keys."""

    status, type, code = 404, "invalid_request_error", "model_not_found"


class UnknownPath(HajimiError):
    """There is nothing at this address."""

    status, type, code = 404, "invalid_request_error", "unknown_url"


class MethodNotAllowed(HajimiError):
    """The address takes another method."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class BodyTooLarge(HajimiError):
    """The request body is over MAX_BODY_MB."""

    status, type, code = 413, "invalid_request_error", "body_too_large"


class EncodedBody(HajimiError):
    """The request body is compressed."""

    status, type, code = 415, "invalid_request_error", "encoded_body"


class TooManyGuesses(HajimiError):
    """Too many wrong passwords came from this address."""

    status, type, code, retry = 429, "rate_limit_error", "too_many_guesses", True


class LimitReached(HajimiError):
    """A limit of the member, of the address or of the group is used up."""

    status, type, code, retry, heals = 429, "rate_limit_error", "rate_limit_exceeded", True, True


class KeysResting(HajimiError):
    """Every key that fits is parked or has used up its day."""

    status, type, code, retry = 429, "rate_limit_error", "keys_resting", True


class KeysBusy(HajimiError):
    """Every key that fits carries as much as it may at one time."""

    status, type, code, retry, heals = 429, "rate_limit_error", "keys_busy", True, True


class EmptyAnswer(HajimiError):
    """Gemini answered without anything visible, again and again."""

    status, type, code = 502, "server_error", "empty_answer"


class AnswerTruncated(HajimiError):
    """Every token went into thoughts before any text came."""

    status, type, code = 502, "server_error", "answer_truncated"


class LocationRefused(HajimiError):
    """Google does not serve the place this server runs in."""

    status, type, code = 502, "server_error", "location_refused"


class UpstreamRefused(HajimiError):
    """Google refused in a way that waiting does not heal."""

    status, type, code = 502, "server_error", "upstream_refused"


class InternalError(HajimiError):
    """A fault of ours."""

    status, type, code = 500, "server_error", "internal_error"


class NoKeys(HajimiError):
    """The pool has no enabled key."""

    status, type, code = 503, "server_error", "no_keys"


class UpstreamFailed(HajimiError):
    """Every attempt failed upstream."""

    status, type, code, retry = 503, "server_error", "upstream_unavailable", True


class StoppedEarly(HajimiError):
    """The answer broke off after visible output; what came is all there is."""

    status, type, code = 503, "server_error", "answer_cut"


class NotReady(HajimiError):
    """Starting, stopping, or the database is away."""

    status, type, code, retry, heals = 503, "server_error", "not_ready", True, True
