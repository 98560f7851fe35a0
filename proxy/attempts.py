"""One attempt: one key, one call, from the request sent to the last event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol

from keys.ledger.windows import PACIFIC, day
from keys.pool import Lease
from keys.rules import Outcome, Verdict, judge
from proxy.behaviour import Behaviour
from proxy.deadline import Deadline
from proxy.journal import AttemptRecord, UsageDelta
from proxy.retry import Patience
from proxy.translation.reply import Delta, Translator, Usage
from proxy.unsaid import unsaid
from proxy.upstream.errors import Cut, Garbled, Refused, Silent, Unreachable, UpstreamError
from proxy.upstream.ways import AI_STUDIO, Upstream

OUTCOMES: Final = {
    Unreachable: Outcome.UNAVAILABLE,
    Silent: Outcome.UNAVAILABLE,
    Cut: Outcome.CUT,
    Garbled: Outcome.UNAVAILABLE,
}

# A stream may go on a little after Google has said that the answer is over (MAPPING: three of 161 do). Silence for so
# long, or a connection that breaks then, is its end: everything is there.
AFTER_THE_END_SECONDS: Final = 2.0


class Translation(Protocol):
    """What reads an answer's events: proxy.translation.reply.Translator, for one."""

    @property
    def visible(self) -> bool:
        """Whether something came that is an answer to the client."""

    @property
    def ended(self) -> bool:
        """Whether Google said that the answer is over."""

    @property
    def usage(self) -> Usage:
        """The tokens so far."""

    @property
    def category(self) -> str:
        """Why the answer was blocked, or ''."""

    @property
    def malformed(self) -> str:
        """How the model botched its answer, or ''."""

    def feed(self, event: object) -> list[Delta]:
        """Return what one event adds."""

    def finish(self) -> list[Delta]:
        """Return the end of the answer."""

    def outcome(self) -> Outcome:
        """Say how the answer ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What every attempt of a request sends, and what it may use. ``deadline`` is in the loop's time.

    ``vertex`` is what a call to Vertex AI says besides, in its generationConfig; ``studio_body`` is the body for AI
    Studio keys where that is another. With ``goes_on`` an answer may say that it is over and go on later.
    """

    model: str
    body: bytes
    stream: bool
    deadline: float
    behaviour: Behaviour
    method: str = "generateContent"
    translator: Callable[[], Translation] = Translator
    vertex: Mapping[str, Any] = field(default_factory=dict)
    studio_body: bytes | None = None
    goes_on: bool = False

    def body_for(self, kind: str) -> bytes:
        """Return the body that a key of this kind (keys.models.Key.Kind) sends."""
        return self.body if self.studio_body is None or kind != AI_STUDIO else self.studio_body

    @property
    def patience(self) -> Patience:
        """How much this request may try."""
        behaviour = self.behaviour
        return Patience(behaviour.max_attempts, behaviour.max_empty_responses, behaviour.headers_hold_seconds)


class Failed(Exception):
    """An attempt brought no visible output; ``held`` is what it brought instead."""

    def __init__(self, verdict: Verdict, category: str = "", *, malformed: str = "", is_silent: bool = False) -> None:
        self.verdict = verdict
        self.category = category
        self.malformed = malformed
        self.is_silent = is_silent
        self.held: list[Delta] = []
        super().__init__(verdict.outcome)


class Attempt:
    """One try of one request with one key.

    ``open`` runs until the first visible output (a whole answer: until its end); then ``more`` until it returns
    nothing, then ``check_end``. Whoever made the attempt closes it.
    """

    def __init__(
        self,
        asked: Asked,
        upstream: Upstream,
        lease: Lease,
        *,
        number: int,
        clock: Callable[[], float],
    ) -> None:
        self.lease = lease
        self.number = number
        self.started = clock()
        self.translator = asked.translator()
        self.verdict: Verdict | None = None
        self.ended = False
        self._clock = clock
        self._stream = asked.stream
        self._goes_on = asked.goes_on
        self._body = asked.body
        self._heard = False
        self._deadline = Deadline(asked.deadline)
        body = asked.body_for(lease.key.kind)
        self._answer = upstream.ask(
            lease.key, lease.model, body, method=asked.method, stream=asked.stream, more=asked.vertex
        )

    async def open(self, pass_on: Callable[[list[Delta]], bool]) -> list[Delta]:
        """Return everything up to the first visible output, thoughts included.

        ``pass_on`` is offered the thoughts so far and says whether it took them. Raises Failed.
        """
        held: list[Delta] = []
        while not self.translator.visible:
            deltas = await self.more()
            if deltas is None:
                failed = self._without_output()
                failed.held = held
                raise failed
            held += deltas
            if held and not self.translator.visible and pass_on(held):
                held = []
        return held

    async def more(self) -> list[Delta] | None:
        """Return the deltas of the next read, None when there are no more. Raises Failed."""
        is_over = self._stream and self.translator.ended and not self._goes_on
        if is_over:
            self._deadline.within(AFTER_THE_END_SECONDS)
        try:
            with self._deadline:
                events = await self._answer.batch()
        except (TimeoutError, UpstreamError) as error:
            # What Google itself reports is never the end.
            if is_over and not isinstance(error, Refused):
                return None
            raise self._failed(error) from error
        if not events:
            return None
        self._heard = True
        feed = self.translator.feed
        return feed(events[0]) if len(events) == 1 else [delta for event in events for delta in feed(event)]

    def check_end(self) -> None:
        """Raise Failed when the answer that has ended was cut."""
        if self._stream and not self.translator.ended:
            raise Failed(Verdict(Outcome.CUT, 200, "ended early"))

    async def close(self) -> None:
        """Close the call; one that still runs is cancelled upstream."""
        self._deadline.clear()
        await self._answer.close()

    def record(self, outcome: Outcome) -> AttemptRecord:
        """Return the row that tells how this attempt ended."""
        verdict = self.verdict
        return AttemptRecord(
            number=self.number,
            key_id=self.lease.key.id,
            model=self.lease.model,
            outcome=outcome,
            status=(verdict.status or None) if verdict else 200,
            quota_id=verdict.quota_id if verdict else "",
            message=verdict.message if verdict else "",
            started_at=datetime.fromtimestamp(self.started, UTC),
            duration_ms=max(int((self._clock() - self.started) * 1000), 0),
        )

    def usage(self) -> UsageDelta:
        """Return what this attempt has used of its key's Google day."""
        used = self.translator.usage
        return UsageDelta(
            kind="key",
            subject=str(self.lease.key.id),
            day=date.fromisoformat(day(self.started, PACIFIC)),
            model=self.lease.model,
            requests=1,
            prompt_tokens=used.prompt,
            completion_tokens=used.completion,
        )

    def _without_output(self) -> Failed:
        """Judge an answer that ended without visible output."""
        if self._stream and not self.translator.ended and self._heard:
            return Failed(Verdict(Outcome.CUT, 200, "ended early"))
        category = self.translator.category
        malformed = self.translator.malformed
        verdict = Verdict(self.translator.outcome(), 200, category or malformed)
        return Failed(verdict, category, malformed=malformed)

    def _failed(self, error: TimeoutError | UpstreamError) -> Failed:
        if isinstance(error, TimeoutError):
            return Failed(Verdict(Outcome.TIMEOUT, 0, "timed out"))
        if isinstance(error, Refused):
            verdict = judge(error.status, error.body, datetime.fromtimestamp(self._clock(), UTC))
            message, disable = (text and unsaid(text, self._body) for text in (verdict.message, verdict.disable))
            return Failed(replace(verdict, message=message or "", disable=disable))
        verdict = Verdict(OUTCOMES[type(error)], 0, str(error))
        return Failed(verdict, is_silent=isinstance(error, Silent))
