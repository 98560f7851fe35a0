"""What goes on in this process, counted as it happens. In memory; the dashboard and /metrics read it.

The relay calls ``begin``, ``leave`` and ``count`` once for each request, a door that refuses one ``refused``. What may
be read at any time, in the event loop:

- ``running``: the requests in flight by number, each with member, model, keys, attempt and start (``Running``);
- ``total``: what has ended since ``since``, the start of this process: requests and attempts by Outcome, tokens of each
  kind (thoughts are part of the completion, cached ones of the prompt), and seconds until the first visible output as a
  histogram over FIRST_OUTPUT_BOUNDS;
- ``minutes``: the same for the last hour, minute by minute, and by model what Google served;
- ``ended``: the latest requests that have ended, oldest first (``Ended``);
- ``refusals_by_code``, ``refusals_by_limit``: how many errors went out, and how many were the ledger's refusals;
- ``refusals``: the latest different refusals, newest first, with their sentences;
- ``last_answer``, ``last_fault``: when Google last answered, and the last attempt that failed through its fault.

Keys by state: ``keys.standing.census(pool.standings(now))``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from keys.ledger.windows import kind_of
from keys.rules import UNSERVED, Outcome

if TYPE_CHECKING:
    from proxy.errors import HajimiError
    from proxy.journal import AttemptRecord, Record

MINUTES: Final = 60
LATEST_REFUSALS: Final = 20
LATEST_ENDED: Final = 20
# Names come from clients while no list of models has been fetched: a minute counts so many different ones.
MOST_MODELS: Final = 200
FIRST_OUTPUT_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0)
_BOUNDS_MS: Final = tuple(1000 * bound for bound in FIRST_OUTPUT_BOUNDS)
# How many of the latest first outputs are kept for their median.
RECENT: Final = 256

# These are neither the key's nor the client's fault.
UPSTREAM_FAULTS: Final = frozenset({Outcome.UNAVAILABLE, Outcome.TIMEOUT, Outcome.CUT, Outcome.LOCATION})


class Running(Protocol):
    """A request in flight: proxy.relay.Exchange, for one."""

    @property
    def member(self) -> str:
        """Its member's name."""

    @property
    def model(self) -> str:
        """The model as the client named it."""

    @property
    def started(self) -> float:
        """When it came, in seconds since the epoch."""

    @property
    def attempt_number(self) -> int:
        """The attempt that speaks, else the latest one; 0 before the first."""

    @property
    def key_tails(self) -> tuple[str, ...]:
        """The last four characters of each key that works for it now."""

    @property
    def has_output(self) -> bool:
        """Whether something visible has come."""


@dataclass(slots=True)
class Minute:
    """What ended in one minute, or in all of them. ``number`` is minutes since the epoch.

    ``served`` counts by model the attempts that Google served. ``first_outputs`` has one count for each of
    FIRST_OUTPUT_BOUNDS and one for what is beyond the last; ``first_output_ms`` is the sum.
    """

    number: int = 0
    requests: dict[Outcome, int] = field(default_factory=dict)
    attempts: dict[Outcome, int] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thought_tokens: int = 0
    cached_tokens: int = 0
    first_outputs: list[int] = field(default_factory=lambda: [0] * (len(FIRST_OUTPUT_BOUNDS) + 1))
    first_output_ms: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, in OpenAI's sense: the others are parts of these two."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Minute) -> None:
        """Count what ``other`` has counted too, but for the models."""
        for mine, others in ((self.requests, other.requests), (self.attempts, other.attempts)):
            for outcome, count in others.items():
                mine[outcome] = mine.get(outcome, 0) + count
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.thought_tokens += other.thought_tokens
        self.cached_tokens += other.cached_tokens
        self.first_outputs = [sum(pair) for pair in zip(self.first_outputs, other.first_outputs, strict=True)]
        self.first_output_ms += other.first_output_ms


@dataclass(slots=True)
class Refusal:
    """The same refusal of one client, ``count`` times; ``who`` is a member's name or an address."""

    who: str
    model: str
    error: HajimiError
    at: float
    request_id: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that has ended at ``at``, and what its log row says."""

    at: float
    member: str
    record: Record


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt that failed through Google's fault, or the network's."""

    at: float
    outcome: Outcome
    status: int | None
    message: str


class Live:
    """The counters of one process. Every ``now`` is in seconds since the epoch."""

    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self.running: dict[int, Running] = {}
        self.minutes: deque[Minute] = deque([Minute()], maxlen=MINUTES + 1)
        self.recent_first_outputs: deque[int] = deque(maxlen=RECENT)
        self.ended: deque[Ended] = deque(maxlen=LATEST_ENDED)
        self.last_answer = 0.0
        self.last_fault: Fault | None = None
        # Since the start: errors by their code, and requests that a limit refused by the kind of the limit.
        self.refusals_by_code: dict[str, int] = {}
        self.refusals_by_limit: dict[str, int] = {}
        # All minutes that are over; the running one is added when somebody asks.
        self._before = Minute()
        self._refusals: OrderedDict[tuple[str, str, str], Refusal] = OrderedDict()

    @property
    def total(self) -> Minute:
        """Everything since the start; ``served`` is left empty."""
        total = Minute()
        total.add(self._before)
        total.add(self.minutes[-1])
        return total

    @property
    def refusals(self) -> list[Refusal]:
        """The latest different refusals, newest first."""
        return list(reversed(self._refusals.values()))

    def begin(self, request_id: int, request: Running) -> None:
        """Note that a request runs."""
        self.running[request_id] = request

    def leave(self, request_id: int) -> None:
        """Note that it runs no more."""
        self.running.pop(request_id, None)

    def count(self, record: Record, member: str, now: float) -> None:
        """Count a request that has ended, and its attempts."""
        self.ended.append(Ended(now, member, record))
        minute = self.minutes[-1]
        if minute.number != now // 60:
            minute = self._next_minute(now)
        requests, outcome = minute.requests, record.outcome
        requests[outcome] = requests.get(outcome, 0) + 1
        minute.prompt_tokens += record.prompt_tokens
        minute.completion_tokens += record.completion_tokens
        if record.thought_tokens:
            minute.thought_tokens += record.thought_tokens
        if record.cached_tokens:
            minute.cached_tokens += record.cached_tokens
        if (milliseconds := record.first_output_ms) is not None:
            minute.first_outputs[bisect_left(_BOUNDS_MS, milliseconds)] += 1
            minute.first_output_ms += milliseconds
            self.recent_first_outputs.append(milliseconds)
        for attempt in record.attempts:
            self._count_attempt(attempt, minute, now)

    def refused(self, error: HajimiError, *, who: str, model: str, request_id: int, now: float) -> None:
        """Keep a refusal for the admin to see. The same one of the same client is counted, not listed again."""
        self.refusals_by_code[error.code] = self.refusals_by_code.get(error.code, 0) + 1
        place = (who, model, error.template)
        last = self._refusals.pop(place, None)
        self._refusals[place] = Refusal(who, model, error, now, request_id, last.count + 1 if last else 1)
        if len(self._refusals) > LATEST_REFUSALS:
            self._refusals.popitem(last=False)

    def limited(self, name: str) -> None:
        """Count a request that the limit of this name (of a window or of slots) refused."""
        kind = kind_of(name)
        self.refusals_by_limit[kind] = self.refusals_by_limit.get(kind, 0) + 1

    def _next_minute(self, now: float) -> Minute:
        last, number = self.minutes[-1], int(now // 60)
        # A clock that was set back goes on in the last minute.
        if number <= last.number:
            return last
        self._before.add(last)
        self.minutes.append(Minute(number))
        return self.minutes[-1]

    def _count_attempt(self, attempt: AttemptRecord, minute: Minute, now: float) -> None:
        attempts, outcome = minute.attempts, attempt.outcome
        attempts[outcome] = attempts.get(outcome, 0) + 1
        if outcome in UPSTREAM_FAULTS:
            self.last_fault = Fault(now, outcome, attempt.status, attempt.message)
        if outcome not in UNSERVED:
            self.last_answer = now
            model, served = attempt.model, minute.served
            if model in served or len(served) < MOST_MODELS:
                served[model] = served.get(model, 0) + 1
