"""The one conductor: admit a request, get its answer from the pool, settle and write down what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

from keys.ledger import Away, Ledger
from keys.ledger.windows import Slots, Take, day, member_slots
from keys.members import MemberView
from keys.places import place_of
from keys.pool import Pool
from keys.rules import Outcome
from proxy import errors, refusals
from proxy.admission import Allowance, takes_for, tightest
from proxy.attempts import Asked, Translation
from proxy.breaker import Breaker
from proxy.chorus import in_turn, together
from proxy.journal import Journal, Record, UsageDelta
from proxy.live import Live
from proxy.runtime import Runtime
from proxy.signatures import Signatures
from proxy.translation import served
from proxy.translation.reply import Delta, ServedDelta, ToolCallDelta, Translator, Usage
from proxy.upstream.ways import Upstream
from proxy.voice import Voice

COUNTED: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL, Outcome.CANCELLED, Outcome.TRUNCATED})

# How soon a client may ask again while the ledger's store is away.
AWAY_SECONDS: Final = 5.0

Body = bytes | Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as a view hands it over: who asks what of which model, and with which settings.

    ``body`` goes upstream; a function makes it once the request is admitted, and may raise HajimiError.
    ``more_bodies`` go after it, one by one; the answer is made of all of theirs, and comes when each has come.
    ``stream`` is what the client wants, ``upstream_stream`` what we ask of Google. ``count`` calls are answered, and
    each brings ``each`` answers: the product is what the request takes of its limits.
    With ``has_tools`` the thought signatures of calls are kept. With ``passes_empty`` an answer that stays empty
    after all attempts is passed on as it came, for clients that read Google's own words. ``vertex`` is what a call
    to Vertex AI says besides, in its generationConfig; ``studio_body`` is the body for AI Studio keys where that is
    another. With ``goes_on`` an answer may say that it is over and go on later.
    """

    request_id: int
    member: MemberView
    address: str
    dialect: str
    model: str
    upstream_model: str
    runtime: Runtime
    body: Body
    more_bodies: tuple[bytes, ...] = ()
    method: str = "generateContent"
    count: int = 1
    each: int = 1
    stream: bool = False
    upstream_stream: bool = False
    translator: Callable[[], Translation] = Translator
    has_tools: bool = False
    passes_empty: bool = False
    vertex: Mapping[str, Any] = field(default_factory=dict)
    studio_body: bytes | None = None
    goes_on: bool = False


class Relay:
    """Carries requests with what one process has: its pool, ledger, journal and way upstream."""

    def __init__(
        self,
        pool: Pool,
        ledger: Ledger,
        journal: Journal,
        upstream: Upstream,
        signatures: Signatures,
        zone: tzinfo,
        now: Callable[[], float] = time.time,
        *,
        live: Live | None = None,
    ) -> None:
        self.live = live or Live()
        self.pool = pool
        self.ledger = ledger
        self.journal = journal
        self.upstream = upstream
        self.signatures = signatures
        self.breaker = Breaker(pool.usable)
        self.zone = zone
        self.now = now
        # Set when the answers that still run are ended: then it was not the client who went away.
        self.is_ending = False

    def exchange(self, ask: Ask) -> Exchange:
        """Return the exchange that will carry ``ask``; nothing is taken before it runs."""
        return Exchange(self, ask)


class Exchange:
    """One request from admission to its log row.

    ``run`` is an async generator of deltas that raises HajimiError. Before its first delta a view may still
    answer with a true HTTP status. What it takes it gives back in its own ``finally``.
    """

    def __init__(self, relay: Relay, ask: Ask) -> None:
        self._relay = relay
        self._ask = ask
        self._started = relay.now()
        self._record = _record(ask, self._started)
        self._voices: list[Voice] = []
        self._visible = False
        self._headers_out = False
        self._settled_usage: Usage | None = None
        self._taken: list[Take] = []
        self._slots: Slots | None = None
        self.allowance: Allowance | None = None

    @property
    def usage(self) -> Usage:
        """Return the tokens of all choices so far; once settled, what was written down."""
        if self._settled_usage is not None:
            return self._settled_usage
        return sum((voice.usage for voice in self._voices), Usage())

    @property
    def attempt_count(self) -> int:
        """Return how many attempts were made so far."""
        return self._record.attempt_count

    # What proxy.live.Running tells of a request in flight.

    @property
    def member(self) -> str:
        """Return the name of who asks."""
        return self._ask.member.name

    @property
    def model(self) -> str:
        """Return the model as the client named it."""
        return self._record.model

    @property
    def started(self) -> float:
        """Return when the request came."""
        return self._started

    @property
    def has_output(self) -> bool:
        """Return whether something visible has come."""
        return self._visible

    @property
    def attempt_number(self) -> int:
        """Return the attempt that speaks, else the latest one."""
        speaking = [voice.winner.number for voice in self._voices if voice.winner is not None]
        return max(speaking, default=self._record.attempt_count)

    @property
    def key_tails(self) -> tuple[str, ...]:
        """Return the last four characters of each key that works for it now."""
        return tuple(key.tail for voice in self._voices for key in voice.keys_at_work)

    def headers_out(self) -> None:
        """Tell that the client has its headers: from now on thoughts may go out before the answer."""
        self._headers_out = True
        for voice in self._voices:
            voice.thoughts.allowed = self._ask.count == 1

    async def run(self) -> AsyncGenerator[list[Delta], None]:
        """Yield the answer's deltas. Raises HajimiError; StoppedEarly once something visible went out."""
        outcome: Outcome = Outcome.CANCELLED
        error: errors.HajimiError | None = None
        self._relay.live.begin(self._record.id, self)
        try:
            self._voices = self._make_voices(await self._admitted_bodies())
            answer = self._answer()
            async with aclosing(answer):
                async for deltas in answer:
                    if not self._visible:
                        self._note_output()
                    if self._ask.has_tools:
                        self._keep_signatures(deltas)
                    yield deltas
            outcome = self._ended_as()
        except errors.HajimiError as raised:
            empty = self._empty_answer(raised)
            if not empty:
                error = raised
                raise
            outcome = Outcome.EMPTY
            yield empty
        except Away as away:
            error = errors.NotReady(refusals.LEDGER_AWAY, retry_after=AWAY_SECONDS)
            raise error from away
        except Exception:
            error = errors.InternalError(refusals.UNEXPECTED)
            raise
        finally:
            await self._settle(outcome, error)

    def _empty_answer(self, error: errors.HajimiError) -> list[Delta]:
        """Return the last empty answer, if that is the trouble and this client reads Google's own words."""
        is_passed = self._ask.passes_empty and isinstance(error, errors.EmptyAnswer)
        return self._voices[0].last_empty if is_passed else []

    def _answer(self) -> AsyncGenerator[list[Delta], None]:
        if len(self._voices) == 1:
            return self._voices[0].run()
        return in_turn(self._voices) if self._ask.more_bodies else together(self._voices)

    # Admission

    async def _admitted_bodies(self) -> Sequence[bytes]:
        """Take the windows and return the body for each voice; every attempt of a voice sends the same bytes."""
        if self._relay.journal.is_full:
            raise errors.NotReady(refusals.JOURNAL_FULL, retry_after=5)
        if self._ask.member.parallel_requests:
            await self._enter(self._ask.member.parallel_requests)
        await self._take()
        body = self._ask.body
        first = body if isinstance(body, bytes) else await body()
        return [first] * self._ask.count + list(self._ask.more_bodies)

    async def _enter(self, limit: int) -> None:
        """Take one of the member's slots. Raises LimitReached."""
        # Noted before it is there: whoever is cancelled on the way in must still leave.
        self._slots = member_slots(self._ask.member.id, limit)
        if not await self._relay.ledger.enter(self._slots, self._ask.request_id, self._started):
            self._relay.live.limited(self._slots.name)
            raise refusals.all_running(self._slots, self._ask.member.name)

    async def _take(self) -> None:
        """Take from the member's and the address's windows, all or none. Raises LimitReached."""
        relay, now = self._relay, self._started
        ask = self._ask
        takes = takes_for(
            ask.member,
            ask.address,
            ask.upstream_model,
            ask.runtime.behaviour,
            count=ask.count * ask.each,
            zone=relay.zone,
            now=now,
        )
        admission = await relay.ledger.admit(takes, now)
        self.allowance = tightest(takes, admission.standings, now)
        if admission.refusal is not None:
            relay.live.limited(admission.refusal.window.name)
            raise refusals.limit_reached(admission.refusal, ask.member.name, now)
        self._taken = takes

    def _make_voices(self, bodies: Sequence[bytes]) -> list[Voice]:
        ask, relay, behaviour = self._ask, self._relay, self._ask.runtime.behaviour
        asked = Asked(
            model=ask.upstream_model,
            method=ask.method,
            body=bodies[0],
            stream=ask.upstream_stream,
            deadline=asyncio.get_running_loop().time() + behaviour.upstream_timeout_seconds,
            behaviour=behaviour,
            translator=ask.translator,
            vertex=ask.vertex,
            studio_body=ask.studio_body,
            goes_on=ask.goes_on,
        )
        voices = [
            Voice(
                asked if body is bodies[0] else replace(asked, body=body),
                relay.pool,
                relay.upstream,
                self._record,
                breaker=relay.breaker,
                now=relay.now,
                index=index,
            )
            for index, body in enumerate(bodies)
        ]
        for voice in voices:
            voice.thoughts.allowed = self._headers_out and ask.count == 1
        return voices

    # Settling

    def _note_output(self) -> None:
        if any(voice.winner for voice in self._voices):
            self._visible = True
            self._record.first_output_ms = self._elapsed_ms()

    def _keep_signatures(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                self._keep(delta.id, delta.signature)
            elif isinstance(delta, ServedDelta) and delta.call_id:
                self._keep(served.key(delta.call_id), served.dumped(delta.parts))

    def _keep(self, name: str, signature: str | None) -> None:
        row = self._relay.signatures.remember(name, signature, self._relay.now())
        if row is not None:
            self._record.signatures.append(row)

    async def _settle(self, outcome: Outcome, error: errors.HajimiError | None) -> None:
        """Give back what was not used, and write the request down. The client's last byte waits for this."""
        self._relay.live.leave(self._record.id)
        if self._slots is not None:
            await self._relay.ledger.leave(self._slots, self._ask.request_id)
        if outcome is Outcome.CANCELLED and self._relay.is_ending:
            error = errors.NotReady(refusals.STOPPING)
        if error is not None:
            outcome = Outcome.PARTIAL if self._visible else refusals.outcome_of(error)
        self._settled_usage = self.usage
        try:
            await self._settle_windows(outcome)
        finally:
            # Written down also when the client goes away while the ledger is asked.
            self._fill_record(outcome, error)
            self._note_end(error)
            await self._write_down(outcome)
            if self._taken and self._is_counted(outcome):
                self._relay.ledger.spend(self._taken, self._relay.now())

    async def _write_down(self, outcome: Outcome) -> None:
        if outcome is Outcome.CANCELLED:
            # Nobody waits for the last byte any more.
            self._relay.journal.post(self._record)
        elif not self._record.attempt_count:
            await self._relay.journal.close_refused(self._record)
        else:
            await self._relay.journal.close(self._record)

    def _ended_as(self) -> Outcome:
        """Return how the whole answer ended: one that the native dialect passes on may be a block."""
        winners = [voice.winner for voice in self._voices if voice.winner is not None]
        return winners[0].translator.outcome() if winners else Outcome.EMPTY

    def _is_counted(self, outcome: Outcome) -> bool:
        """Whether the request counts against days and tokens: the client got something for it."""
        return self._visible and outcome in COUNTED

    async def _settle_windows(self, outcome: Outcome) -> None:
        if not self._is_counted(outcome):
            if self._taken:
                await self._relay.ledger.give_back(self._taken, self._relay.now())
            return
        for take in self._taken:
            if not take.amount:
                await self._relay.ledger.add(take.window, self.usage.total, self._relay.now())

    def _fill_record(self, outcome: Outcome, error: errors.HajimiError | None) -> None:
        record, usage = self._record, self.usage
        record.outcome = outcome
        record.duration_ms = self._elapsed_ms()
        record.status = error.status if error else 499 if outcome is Outcome.CANCELLED else 200
        if error is not None:
            record.code, record.message = error.code, error.reason()[:300]
        record.prompt_tokens, record.completion_tokens = usage.prompt, usage.completion
        record.thought_tokens, record.cached_tokens = usage.thoughts, usage.cached
        if self._is_counted(outcome):
            record.usage += self._member_usage(usage)

    def _note_end(self, error: errors.HajimiError | None) -> None:
        live, record, now = self._relay.live, self._record, self._relay.now()
        live.count(record, self.member, now)
        if error is not None:
            error.is_noted = True
            live.refused(error, who=self.member, model=record.model, request_id=record.id, now=now)

    def _member_usage(self, usage: Usage) -> list[UsageDelta]:
        ask = self._ask
        today = date.fromisoformat(day(self._started, self._relay.zone))
        return [
            UsageDelta(
                kind=kind,
                subject=subject,
                day=today,
                model=ask.upstream_model,
                requests=ask.count * ask.each,
                prompt_tokens=usage.prompt,
                completion_tokens=usage.completion,
            )
            for kind, subject in (("member", str(ask.member.id)), ("address", place_of(ask.address)))
        ]

    def _elapsed_ms(self) -> int:
        return max(int((self._relay.now() - self._started) * 1000), 0)


def _record(ask: Ask, started: float) -> Record:
    return Record(
        id=ask.request_id,
        started_at=datetime.fromtimestamp(started, UTC),
        member_id=ask.member.id,
        address=ask.address,
        dialect=ask.dialect,
        model=ask.model[:120],
        stream=ask.stream,
        answers=ask.count * ask.each,
    )
