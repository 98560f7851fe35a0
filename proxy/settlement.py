"""What one request takes of its limits, and what is written down of it: opened before its answer, closed after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from keys.ledger import Ledger
from keys.ledger.windows import Slots, Take, day, member_slots
from keys.places import place_of
from keys.rules import Outcome
from proxy import errors, refusals
from proxy.admission import Allowance, takes_for, tightest
from proxy.ask import Ask
from proxy.journal import Journal, Record, UsageDelta
from proxy.live import Live
from proxy.translation.usage import Usage

COUNTED: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL, Outcome.CANCELLED, Outcome.TRUNCATED})


class Settlement:
    """The settlement of one request. What ``open`` takes, ``close`` gives back or spends; each is called once.

    ``record`` is the row in the making, ``allowance`` what the tightest limit has left once it is open.
    """

    def __init__(
        self, ask: Ask, *, ledger: Ledger, journal: Journal, live: Live, zone: tzinfo, now: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._ledger = ledger
        self._journal = journal
        self._live = live
        self._zone = zone
        self._now = now
        self.started = now()
        self.record = _record(ask, self.started)
        self.allowance: Allowance | None = None
        self.has_output = False
        self._taken: list[Take] = []
        self._slots: Slots | None = None

    async def open(self) -> None:
        """Take a slot and the windows. Raises LimitReached, NotReady while the journal is full, Away."""
        if self._journal.is_full:
            raise errors.NotReady(refusals.JOURNAL_FULL, retry_after=5)
        if self._ask.member.parallel_requests:
            await self._enter(self._ask.member.parallel_requests)
        await self._take()

    async def _enter(self, limit: int) -> None:
        """Take one of the member's slots. Raises LimitReached."""
        # Noted before it is there: whoever is cancelled on the way in must still leave.
        self._slots = member_slots(self._ask.member.id, limit)
        if not await self._ledger.enter(self._slots, self._ask.request_id, self.started):
            self._live.limited(self._slots.name)
            raise refusals.all_running(self._slots, self._ask.member.name)

    async def _take(self) -> None:
        """Take from the member's and the address's windows, all or none. Raises LimitReached."""
        ask, now = self._ask, self.started
        takes = takes_for(
            ask.member,
            ask.address,
            ask.upstream_model,
            ask.runtime.behaviour,
            count=ask.count * ask.each,
            zone=self._zone,
            now=now,
        )
        admission = await self._ledger.admit(takes, now)
        self.allowance = tightest(takes, admission.standings, now)
        if admission.refusal is not None:
            self._live.limited(admission.refusal.window.name)
            raise refusals.limit_reached(admission.refusal, ask.member.name, now)
        self._taken = takes

    def note_output(self) -> None:
        """Note that something visible has come; only the first time counts."""
        if not self.has_output:
            self.has_output = True
            self.record.first_output_ms = self._elapsed_ms()

    async def close(self, outcome: Outcome, error: errors.HajimiError | None, usage: Usage) -> None:
        """Give back what was not used, and write the request down. The client's last byte waits for this."""
        if self._slots is not None:
            await self._ledger.leave(self._slots, self._ask.request_id)
        if error is not None:
            outcome = Outcome.PARTIAL if self.has_output else refusals.outcome_of(error)
        is_counted = self.has_output and outcome in COUNTED
        try:
            await self._settle_windows(is_counted, usage)
        finally:
            # Written down also when the client goes away while the ledger is asked.
            self._fill_record(outcome, error, usage)
            if is_counted:
                self.record.usage += self._member_usage(usage)
            self._note_end(error)
            await self._write_down(outcome)
            if self._taken and is_counted:
                self._ledger.spend(self._taken, self._now())

    async def _settle_windows(self, is_counted: bool, usage: Usage) -> None:
        """Leave the takes of a request that counts, and add its tokens; give back those of any other.

        A request counts against days and tokens when the client got something for it.
        """
        if not is_counted:
            if self._taken:
                await self._ledger.give_back(self._taken, self._now())
            return
        for take in self._taken:
            if not take.amount:
                await self._ledger.add(take.window, usage.total, self._now())

    def _fill_record(self, outcome: Outcome, error: errors.HajimiError | None, usage: Usage) -> None:
        record = self.record
        record.outcome = outcome
        record.duration_ms = self._elapsed_ms()
        record.status = error.status if error else 499 if outcome is Outcome.CANCELLED else 200
        if error is not None:
            record.code, record.message = error.code, error.reason()[:300]
        record.prompt_tokens, record.completion_tokens = usage.prompt, usage.completion
        record.thought_tokens, record.cached_tokens = usage.thoughts, usage.cached

    def _note_end(self, error: errors.HajimiError | None) -> None:
        member, record, now = self._ask.member.name, self.record, self._now()
        self._live.count(record, member, now)
        if error is not None:
            error.is_noted = True
            self._live.refused(error, who=member, model=record.model, request_id=record.id, now=now)

    async def _write_down(self, outcome: Outcome) -> None:
        if outcome is Outcome.CANCELLED:
            # Nobody waits for the last byte any more.
            self._journal.post(self.record)
        elif not self.record.attempt_count:
            await self._journal.close_refused(self.record)
        else:
            await self._journal.close(self.record)

    def _member_usage(self, usage: Usage) -> list[UsageDelta]:
        ask = self._ask
        today = date.fromisoformat(day(self.started, self._zone))
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
        return max(int((self._now() - self.started) * 1000), 0)


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
