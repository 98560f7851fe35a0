"""One answer of a request: attempts, raced and retried, until one of them speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keys.pool import Lease, Pool, PoolKey, Unavailable
from keys.rules import UNSERVED, Outcome, Verdict
from proxy import errors, refusals
from proxy.attempts import Asked, Attempt, Failed
from proxy.breaker import Breaker
from proxy.journal import Record
from proxy.lender import Lender
from proxy.retry import FINAL, Tally, pause_after
from proxy.translation.deltas import Delta, EventDelta, ThoughtDelta
from proxy.translation.usage import Usage
from proxy.upstream.ways import Upstream

# After these the pool knows best why no key is left; after others the last failure is what the client must hear.
POOL_EXPLAINS: Final = frozenset({Outcome.RATE_LIMITED, Outcome.KEY_REJECTED, Outcome.NOT_FOUND})


@dataclass(slots=True)
class Thoughts:
    """Thoughts that go out before any visible output, from one attempt only."""

    allowed: bool = False
    source: Attempt | None = None
    waiting: list[Delta] = field(default_factory=list)


class Voice:
    """Gets one answer (one of a request's choices) from the pool.

    ``run`` yields deltas, read by read. It raises HajimiError when no attempt brought visible output, or
    StoppedEarly when the answer broke off after some. Every attempt ends up in ``record``.
    """

    def __init__(
        self,
        asked: Asked,
        pool: Pool,
        upstream: Upstream,
        record: Record,
        *,
        breaker: Breaker,
        now: Callable[[], float],
        index: int = 0,
    ) -> None:
        self.winner: Attempt | None = None
        self.thoughts = Thoughts()
        self.last_empty: list[Delta] = []
        self._asked = asked
        self._pool = pool
        self._upstream = upstream
        self._record = record
        self._now = now
        self._index = index
        self._tally = Tally()
        self._width = asked.behaviour.concurrent_requests
        self._failed_in_round = 0
        self._used_keys: set[int] = set()
        self._racers: dict[asyncio.Task[list[Delta]], Attempt] = {}
        self._wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        hold = asked.behaviour.headers_hold_seconds
        self._lender = Lender(pool, breaker, model=asked.model, request=record.id, patience=hold, now=now)

    @property
    def usage(self) -> Usage:
        """The tokens of the answer so far."""
        return self.winner.translator.usage if self.winner is not None else Usage()

    @property
    def keys_at_work(self) -> list[PoolKey]:
        """The keys of the attempts that run now."""
        attempts = [self.winner] if self.winner is not None else self._racers.values()
        return [attempt.lease.key for attempt in attempts if not attempt.ended]

    async def run(self) -> AsyncGenerator[list[Delta], None]:
        """Yield the answer's deltas, read by read."""
        try:
            await self._launch(pause=0.0, last=None)
            while self.winner is None:
                waited: set[asyncio.Future[Any]] = {*self._racers, self._wake}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if deltas := self._take_thoughts() + await self._look():
                    yield self._placed(deltas)
            await self._cancel_racers(Outcome.LOST_RACE)
            winner, is_plain = self.winner, self._is_plain()
            try:
                while (more := await winner.more()) is not None:
                    if more:
                        yield more if is_plain else self._placed(more)
                winner.check_end()
            except Failed as failed:
                raise await self._broken_off(winner, failed) from failed
            yield self._placed(await self._whole(winner))
        finally:
            await self._cancel_racers(Outcome.CANCELLED)
            if self.winner is not None and not self.winner.ended:
                await self._end(self.winner, Outcome.CANCELLED)

    # The race

    async def _launch(self, pause: float, last: Failed | None) -> None:
        """Start racers up to the present width; the first must find a key, or the client is told why not."""
        behaviour, tally = self._asked.behaviour, self._tally
        width = min(self._width, behaviour.max_concurrent_requests, len(self._racers) + self._attempts_left())
        while len(self._racers) < width:
            lease = await self._lender.lend(self._used_keys, may_wait=not self._racers)
            if not isinstance(lease, Lease):
                if self._racers:
                    return
                raise self._no_key(lease, last) if isinstance(lease, Unavailable) else refusals.outage(lease)
            if self._racers and lease.key.id in self._used_keys:
                # Racing a key against itself gains nothing.
                await self._pool.release(lease, refund=True, now=self._now())
                return
            tally.attempts += 1
            self._start(lease, pause)

    def _attempts_left(self) -> int:
        return self._asked.behaviour.max_attempts - self._tally.attempts

    def _start(self, lease: Lease, pause: float) -> None:
        self._used_keys.add(lease.key.id)
        self._record.attempt_count += 1
        number = self._record.attempt_count
        attempt = Attempt(self._asked, self._upstream, lease, number=number, clock=self._now)
        self._racers[asyncio.create_task(self._race(attempt, pause))] = attempt

    async def _race(self, attempt: Attempt, pause: float) -> list[Delta]:
        if pause:
            await asyncio.sleep(pause)
            attempt.started = self._now()
        return await attempt.open(lambda held: self._pass_on(attempt, held))

    async def _look(self) -> list[Delta]:
        """Look at the racers that are done: the first that opened wins, each that failed is settled."""
        for racer in [racer for racer in self._racers if racer.done()]:
            attempt = self._racers.pop(racer)
            try:
                held = racer.result()
            except Failed as failed:
                await self._failed(attempt, failed)
            except BaseException:
                await self._end(attempt, Outcome.CANCELLED)
                raise
            else:
                self.winner = attempt
                self._lender.answered(attempt.lease)
                return held
        return []

    async def _failed(self, attempt: Attempt, failed: Failed) -> None:
        """Settle a failed attempt; start the next, wait for other racers, or raise what the client is told."""
        outcome = failed.verdict.outcome
        self._judge(attempt, failed.verdict)
        self._lender.failed(attempt.lease, failed.verdict, is_silent=failed.is_silent)
        self.last_empty = failed.held if outcome is Outcome.EMPTY else []
        self._tally.count(outcome, malformed=bool(failed.malformed))
        await self._end(attempt, outcome)
        pause = pause_after(outcome, self._tally, self._asked.patience)
        if pause is not None:
            self._widen()
            await self._launch(pause, failed)
        elif outcome in FINAL or not self._racers:
            raise await self._last_word(failed)

    def _widen(self) -> None:
        """After a round of failures, race with more."""
        self._failed_in_round += 1
        if self._failed_in_round >= self._width:
            self._failed_in_round = 0
            self._width += self._asked.behaviour.increase_concurrent_on_failure

    async def _cancel_racers(self, outcome: Outcome) -> None:
        for racer in self._racers:
            racer.cancel()
        if self._racers:
            await asyncio.wait(self._racers)
        # One by one: whoever waits here may be cancelled, and then the others are still to be ended.
        while self._racers:
            racer, attempt = self._racers.popitem()
            if not racer.cancelled() and isinstance(failed := racer.exception(), Failed):
                self._judge(attempt, failed.verdict)
                await self._end(attempt, failed.verdict.outcome)
            else:
                await self._end(attempt, outcome)

    # The winner

    async def _whole(self, winner: Attempt) -> list[Delta]:
        """Settle an answer that is complete; return its end."""
        self._pool.succeeded(winner.lease)
        await self._end(winner, Outcome.ANSWERED)
        return winner.translator.finish()

    async def _broken_off(self, winner: Attempt, failed: Failed) -> errors.StoppedEarly:
        """Settle an answer that broke off after visible output; return what the client is told."""
        self._judge(winner, failed.verdict)
        await self._end(winner, Outcome.PARTIAL)
        return errors.StoppedEarly(refusals.STOPPED_EARLY, {"message": _told(failed.verdict)})

    def _is_plain(self) -> bool:
        """Whether the winner's deltas go out as they are."""
        return not self._index and self.thoughts.source in (None, self.winner)

    # Thoughts before the answer

    def _pass_on(self, attempt: Attempt, held: list[Delta]) -> bool:
        """Take an attempt's thoughts for the client, if they may go out before any visible output."""
        thoughts = self.thoughts
        alone = len(self._racers) == 1 and thoughts.source in (None, attempt)
        if not (thoughts.allowed and alone and all(_is_thought(delta) for delta in held)):
            return False
        thoughts.source = attempt
        thoughts.waiting += held
        if not self._wake.done():
            self._wake.set_result(None)
        return True

    def _take_thoughts(self) -> list[Delta]:
        if not self._wake.done():
            return []
        self._wake = asyncio.get_running_loop().create_future()
        taken, self.thoughts.waiting = self.thoughts.waiting, []
        return taken

    def _placed(self, deltas: list[Delta]) -> list[Delta]:
        """Return ``deltas`` as the client gets them: our choice's index, no second train of thought."""
        if self._is_plain() or self.winner is None:
            return deltas
        if self.thoughts.source not in (None, self.winner):
            deltas = [delta for delta in deltas if not _is_thought(delta)]
        return [replace(delta, index=self._index) for delta in deltas] if self._index else deltas

    # Settling

    def _judge(self, attempt: Attempt, verdict: Verdict) -> None:
        """Let the pool draw its consequences; what must be written goes into the record."""
        attempt.verdict = verdict
        if change := self._pool.judge(attempt.lease, verdict, self._now()):
            self._record.changes.append(change)

    async def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Write an attempt down, give its lease back, and close it. In this order: waiting may be cancelled."""
        attempt.ended = True
        now = self._now()
        refund = outcome in UNSERVED
        self._record.attempts.append(attempt.record(outcome))
        if not refund:
            self._record.usage.append(attempt.usage())
        try:
            await self._pool.release(attempt.lease, refund=refund, now=now)
        finally:
            await attempt.close()

    async def _last_word(self, failed: Failed) -> errors.HajimiError:
        """Return what the client is told when no more may be tried: that all keys rest, if that is why."""
        if failed.verdict.outcome in POOL_EXPLAINS:
            lease = await self._pool.lease(self._asked.model, (), self._now())
            if isinstance(lease, Unavailable):
                return self._no_key(lease, failed)
            await self._pool.release(lease, refund=True, now=self._now())
        return self._refusal(failed)

    def _no_key(self, unavailable: Unavailable, last: Failed | None) -> errors.HajimiError:
        if last is not None and last.verdict.outcome not in POOL_EXPLAINS:
            return self._refusal(last)
        return refusals.no_key(unavailable, self._asked.model, self._now())

    def _refusal(self, failed: Failed) -> errors.HajimiError:
        return refusals.after_attempts(
            failed.verdict.outcome,
            malformed=failed.malformed,
            model=self._asked.model,
            attempts=self._tally.attempts,
            message=_told(failed.verdict),
            category=failed.category or failed.verdict.message,
            seconds=f"{self._asked.behaviour.upstream_timeout_seconds:g}",
        )


def _is_thought(delta: Delta) -> bool:
    return isinstance(delta, ThoughtDelta) or (isinstance(delta, EventDelta) and delta.is_thought)


def _told(verdict: Verdict) -> str:
    return verdict.message or (f"status {verdict.status}" if verdict.status else verdict.outcome)
