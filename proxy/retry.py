"""What follows a failed attempt: stop, or another key, and after which pause. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keys.rules import Outcome

# The request, the prompt, our location or the time spent is at fault: another key changes nothing.
FINAL: Final = frozenset(
    {
        Outcome.BAD_REQUEST,
        Outcome.BLOCKED,
        Outcome.TRUNCATED,
        Outcome.LOCATION,
        Outcome.REFUSED,
        Outcome.NO_KEY,
        Outcome.TIMEOUT,
    }
)
# Nobody's fault: another key helps, but not at once.
PAUSED: Final = frozenset({Outcome.UNAVAILABLE, Outcome.CUT})
NOT_FOUND_KEYS: Final = 3
# A model that botches the same call twice will do so again.
MALFORMED_RETRIES: Final = 1
HOLD_SHARE: Final = 0.6
LONGEST_PAUSE: Final = 2.0
STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """How much one request may try. ``hold_seconds`` bounds the sum of all pauses."""

    max_attempts: int
    max_empty: int
    hold_seconds: float


@dataclass(slots=True)
class Tally:
    """What one request has been through so far."""

    attempts: int = 0
    empty: int = 0
    not_found: int = 0
    faults: int = 0
    malformed: int = 0

    def count(self, outcome: Outcome, *, malformed: bool = False) -> None:
        """Count one failed attempt; ``malformed``: the model botched a function call."""
        self.malformed += malformed
        self.empty += outcome is Outcome.EMPTY
        self.not_found += outcome is Outcome.NOT_FOUND
        self.faults += outcome in PAUSED


def pause_after(outcome: Outcome, tally: Tally, patience: Patience) -> float | None:
    """Return the seconds to wait before the next attempt, or None to stop. ``tally`` already counts this one."""
    if outcome in FINAL or tally.attempts >= patience.max_attempts:
        return None
    if outcome is Outcome.EMPTY and tally.empty > patience.max_empty:
        return None
    if tally.malformed > MALFORMED_RETRIES:
        return None
    if outcome is Outcome.NOT_FOUND and tally.not_found >= NOT_FOUND_KEYS:
        return None
    return pause(tally.faults, patience) if outcome in PAUSED else 0.0


def pause(faults: int, patience: Patience) -> float:
    """Return the pause after the ``faults``-th fault (1 is the first), in seconds.

    Pauses double up to a sixteenfold; however many there are, their sum stays below ``hold_seconds``, so that a
    final failure is still a true HTTP status.
    """
    steps = [_step(number) for number in range(max(patience.max_attempts - 1, 1))]
    share = patience.hold_seconds * HOLD_SHARE / sum(steps)
    return min(share * _step(faults - 1), LONGEST_PAUSE)


def _step(number: int) -> int:
    return 1 << min(number, STEPS)
