"""The one conductor: admit a request, get its answer from the pool, settle and write down what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import tzinfo
from typing import Final

from keys.ledger import Away, Ledger
from keys.pool import Pool
from keys.rules import Outcome
from proxy import errors, refusals
from proxy.admission import Allowance
from proxy.ask import Ask
from proxy.attempts import Asked
from proxy.breaker import Breaker
from proxy.chorus import in_turn, together
from proxy.journal import Journal
from proxy.live import Live
from proxy.settlement import Settlement
from proxy.signatures import Signatures
from proxy.translation import served
from proxy.translation.reply import Delta, ServedDelta, ToolCallDelta
from proxy.translation.usage import Usage
from proxy.upstream.ways import Upstream
from proxy.voice import Voice

# How soon a client may ask again while the ledger's store is away.
AWAY_SECONDS: Final = 5.0


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
        self._settlement = Settlement(
            ask, ledger=relay.ledger, journal=relay.journal, live=relay.live, zone=relay.zone, now=relay.now
        )
        self._voices: list[Voice] = []
        self._headers_out = False
        self._settled_usage: Usage | None = None

    @property
    def usage(self) -> Usage:
        """Return the tokens of all choices so far; once settled, what was written down."""
        if self._settled_usage is not None:
            return self._settled_usage
        return sum((voice.usage for voice in self._voices), Usage())

    @property
    def allowance(self) -> Allowance | None:
        """Return what the tightest limit has left, once the request is admitted."""
        return self._settlement.allowance

    @property
    def attempt_count(self) -> int:
        """Return how many attempts were made so far."""
        return self._settlement.record.attempt_count

    # What proxy.live.Running tells of a request in flight.

    @property
    def member(self) -> str:
        """Return the name of who asks."""
        return self._ask.member.name

    @property
    def model(self) -> str:
        """Return the model as the client named it."""
        return self._settlement.record.model

    @property
    def started(self) -> float:
        """Return when the request came."""
        return self._settlement.started

    @property
    def has_output(self) -> bool:
        """Return whether something visible has come."""
        return self._settlement.has_output

    @property
    def attempt_number(self) -> int:
        """Return the attempt that speaks, else the latest one."""
        speaking = [voice.winner.number for voice in self._voices if voice.winner is not None]
        return max(speaking, default=self._settlement.record.attempt_count)

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
        self._relay.live.begin(self._ask.request_id, self)
        try:
            await self._settlement.open()
            self._voices = self._make_voices(await self._bodies())
            answer = self._answer()
            async with aclosing(answer):
                async for deltas in answer:
                    if not self._settlement.has_output and any(voice.winner for voice in self._voices):
                        self._settlement.note_output()
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

    async def _bodies(self) -> Sequence[bytes]:
        """Return the body for each voice; every attempt of a voice sends the same bytes."""
        body = self._ask.body
        first = body if isinstance(body, bytes) else await body()
        return [first] * self._ask.count + list(self._ask.more_bodies)

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
                self._settlement.record,
                breaker=relay.breaker,
                now=relay.now,
                index=index,
            )
            for index, body in enumerate(bodies)
        ]
        for voice in voices:
            voice.thoughts.allowed = self._headers_out and ask.count == 1
        return voices

    def _keep_signatures(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                self._keep(delta.id, delta.signature)
            elif isinstance(delta, ServedDelta) and delta.call_id:
                self._keep(served.key(delta.call_id), served.dumped(delta.parts))

    def _keep(self, name: str, signature: str | None) -> None:
        row = self._relay.signatures.remember(name, signature, self._relay.now())
        if row is not None:
            self._settlement.record.signatures.append(row)

    async def _settle(self, outcome: Outcome, error: errors.HajimiError | None) -> None:
        self._relay.live.leave(self._ask.request_id)
        if outcome is Outcome.CANCELLED and self._relay.is_ending:
            error = errors.NotReady(refusals.STOPPING)
        self._settled_usage = self.usage
        await self._settlement.close(outcome, error, self._settled_usage)

    def _ended_as(self) -> Outcome:
        """Return how the whole answer ended: one that the native dialect passes on may be a block."""
        winners = [voice.winner for voice in self._voices if voice.winner is not None]
        return winners[0].translator.outcome() if winners else Outcome.EMPTY
