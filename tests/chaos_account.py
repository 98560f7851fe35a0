"""The account of a storm (tests.chaos): what clients were told, what Google was asked and what the log says, compared.

Nothing here runs anything: each check looks at the evidence and raises AssertionError when it does not agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keys.rules import UNSERVED

# What an honest refusal may be called.
HONEST: Final = frozenset(
    {"upstream_unavailable", "upstream_out", "empty_answer", "answer_cut", "not_ready", "keys_resting"}
)
# How long an answer waits for the journal while the database is away.
PATIENCE_SECONDS: Final = 2.0
# Within this time after an answer that was not waited for, a kill may lose its row.
UNSURE_SECONDS: Final = 30.0

Row = Mapping[str, Any]
Span = tuple[float, float]


@dataclass
class Told:
    """What became of one request, as its client saw it."""

    prompt: str
    stream: bool
    began: float
    ended: float = 0.0
    status: int = 0
    id: int | None = None
    text: str = ""
    finish: str | None = None
    code: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = False
    hung_up: bool = False
    broken: str = ""

    @property
    def is_answer(self) -> bool:
        """Whether its client has a whole answer, as far as it was told."""
        return self.is_whole and self.status == 200 and not self.code


@dataclass(frozen=True)
class Evidence:
    """What the three parties say in the end, and when the process was down."""

    told: Sequence[Told]
    # What Google said to each prompt, whole, and how often it was asked.
    said: Mapping[str, Sequence[str]]
    asked: Mapping[str, int]
    dark: Sequence[Span]
    logs: Sequence[Row]
    attempts: Sequence[Row]
    usage: Sequence[Row]
    keys: Sequence[Row]
    parks: Sequence[Row]
    # The last letters of the keys that Google refused for good, and for the day.
    dead: frozenset[str]
    tired: frozenset[str]
    # When nobody listened at Google's address: what was sent then may not have been heard.
    deaf: Sequence[Span] = ()
    # What the house may refuse with, and how many requests a day its one member may have (0: any number).
    honest: frozenset[str] = HONEST
    day_limit: int = 0

    def log_of(self) -> dict[int, Row]:
        return {row["id"]: row for row in self.logs}

    def attempts_of(self) -> dict[int, list[Row]]:
        """Return the attempts of each request, in their order."""
        found: dict[int, list[Row]] = {row["id"]: [] for row in self.logs}
        for row in sorted(self.attempts, key=lambda row: int(row["number"])):
            found.setdefault(row["request_id"], []).append(row)
        return found

    def lost_keys(self) -> set[int]:
        """Return the keys whose every attempt must fail before Google hears of it: Vertex AI is never there."""
        return {row["id"] for row in self.keys if row["kind"].startswith("vertex")}

    def was_dark(self, told: Told) -> bool:
        """Whether the process was killed while a request ran."""
        return any(told.began <= up and told.ended >= down for down, up in self.dark)

    def was_unheard(self, told: Told) -> bool:
        """Whether Google was not to be reached at some time while a request ran."""
        return any(told.began <= back and told.ended >= gone for gone, back in self.deaf)

    def was_forgotten(self, told: Told) -> bool:
        """Whether it was answered while the database was away, and only then the process was killed."""
        waited = told.ended - told.began >= PATIENCE_SECONDS
        return waited and any(0 < down - told.ended < UNSURE_SECONDS for down, _ in self.dark)

    def certain(self) -> Iterable[tuple[Told, Row | None]]:
        """Return what was acknowledged, each with its row; without those whose loss was announced."""
        logs = self.log_of()
        for told in self.told:
            if told.is_whole:
                assert told.id is not None, told
                row = logs.get(told.id)
                if row is not None or not self.was_forgotten(told):
                    yield told, row


# What clients were told


def every_answer_is_one_of_googles(evidence: Evidence) -> None:
    for told in evidence.told:
        said = evidence.said.get(told.prompt, ())
        if told.is_answer:
            assert told.text in said, (told, said)
            assert told.finish == "stop", told
        elif told.text:
            assert any(text.startswith(told.text) for text in said), (told, said)
            assert told.finish is None or told.text in said, told


def every_failure_is_honest(evidence: Evidence) -> None:
    for told in evidence.told:
        if told.is_whole and not told.is_answer:
            assert told.code in evidence.honest, told
        if not told.is_whole and not told.hung_up:
            assert evidence.was_dark(told), told


# What the log says


def every_acknowledged_request_is_logged_as_it_was(evidence: Evidence) -> None:
    for told, row in evidence.certain():
        assert row is not None, told
        assert row["code"] == told.code, (told, row)
        assert row["status"] in (told.status, 503 if told.code else told.status), (told, row)
        if not told.code:
            assert row["outcome"] == "answered", (told, row)
            counted = (told.usage["prompt_tokens"], told.usage["completion_tokens"])
            assert (row["prompt_tokens"], row["completion_tokens"]) == counted, (told, row)


def no_row_is_nobodys(evidence: Evidence) -> None:
    assert len(evidence.log_of()) == len(evidence.logs), "a row came twice"
    known = [told.id for told in evidence.told if told.id is not None]
    assert len(set(known)) == len(known), "an id came twice"
    # A client who went, or whose server was killed, before the headers came may have left a row.
    unknown = len(evidence.told) - len(known)
    nobodys = evidence.log_of().keys() - set(known)
    assert len(nobodys) <= unknown, f"{len(nobodys)} rows, but {unknown} clients who know no number"


def every_row_has_its_attempts(evidence: Evidence) -> None:
    logs = evidence.log_of()
    for number, tries in evidence.attempts_of().items():
        assert number in logs, f"attempts without a row: {number}"
        assert [row["number"] for row in tries] == list(range(1, len(tries) + 1)), (logs[number], tries)
        assert logs[number]["attempt_count"] == len(tries), (logs[number], tries)


# What Google was asked


def google_was_asked_as_often_as_the_log_says(evidence: Evidence) -> None:
    attempts, lost = evidence.attempts_of(), evidence.lost_keys()
    for told, row in evidence.certain():
        if evidence.was_dark(told):
            continue
        assert row is not None, told
        tries = attempts[row["id"]]
        sent = [one for one in tries if one["key_id"] not in lost]
        # Whoever loses a race may have been called off before Google heard of it.
        sure = 0 if evidence.was_unheard(told) else sum(one["outcome"] != "lost_race" for one in sent)
        assert sure <= evidence.asked.get(told.prompt, 0) <= len(sent), (told, row, tries)
        outcomes = [one["outcome"] for one in tries]
        assert outcomes.count("answered") == (not told.code), (told, outcomes)


# Counts and blame


def usage_is_exact(evidence: Evidence) -> None:
    shown = [row for row in evidence.logs if row["outcome"] in ("answered", "partial") or _was_visible(row)]
    for kind in ("member", "address"):
        rows = [row for row in evidence.usage if row["kind"] == kind]
        assert sum(row["requests"] for row in rows) == len(shown), kind
        for tokens in ("prompt_tokens", "completion_tokens"):
            assert sum(row[tokens] for row in rows) == sum(row[tokens] for row in shown), (kind, tokens)
    served = Counter(str(row["key_id"]) for row in evidence.attempts if row["outcome"] not in UNSERVED)
    of_keys: Counter[str] = Counter()
    for row in evidence.usage:
        if row["kind"] == "key":
            of_keys[row["subject"]] += row["requests"]
    assert of_keys == served


def _was_visible(row: Row) -> bool:
    return row["outcome"] == "cancelled" and row["first_output_ms"] is not None


def what_cannot_be_reached_answers_nothing(evidence: Evidence) -> None:
    lost = evidence.lost_keys()
    outcomes = Counter(row["outcome"] for row in evidence.attempts if row["key_id"] in lost)
    assert outcomes.keys() <= {"unavailable", "cancelled", "lost_race"}, outcomes
    assert not lost or outcomes["unavailable"], "it was not even tried"


def no_limit_is_overrun(evidence: Evidence) -> None:
    if evidence.day_limit:
        used = sum(row["requests"] for row in evidence.usage if row["kind"] == "member")
        assert used <= evidence.day_limit, used
        refused = sum(told.code == "rate_limit_exceeded" for told in evidence.told)
        # Some may have been given back after everybody had asked.
        assert refused, "it was not reached"
        assert used >= evidence.day_limit * 0.9, (used, refused)


def no_key_is_blamed_wrongly(evidence: Evidence) -> None:
    disabled = {row["tail"] for row in evidence.keys if row["disabled_by"]}
    assert disabled == evidence.dead, disabled
    tails = {row["id"]: row["tail"] for row in evidence.keys}
    assert {tails[row["key_id"]] for row in evidence.parks} == evidence.tired


CHECKS: Final[tuple[Callable[[Evidence], None], ...]] = (
    every_answer_is_one_of_googles,
    every_failure_is_honest,
    every_acknowledged_request_is_logged_as_it_was,
    no_row_is_nobodys,
    every_row_has_its_attempts,
    google_was_asked_as_often_as_the_log_says,
    usage_is_exact,
    what_cannot_be_reached_answers_nothing,
    no_limit_is_overrun,
    no_key_is_blamed_wrongly,
)
