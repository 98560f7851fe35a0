"""What the dashboard makes of what processes count."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from keys.rules import Outcome, ParkReason
from keys.standing import KeyStanding, ParkEnd
from proxy import errors, refusals
from proxy.breaker import Outage
from proxy.dashboard.parts import CLASSES, MOST_RUNNING, Part, Tally, merged, part_of
from proxy.dashboard.reading import Reading
from proxy.dashboard.snapshot import ENDED_SECONDS, PoolPicture, compose, encoded, hour, pool_picture
from proxy.journal_rows import AttemptRecord, Record
from proxy.live import Live
from tests.unit.test_live import NOW, WHEN, Request, attempt, record

MINUTE = int(NOW // 60)
KEY = "AIzaSyFakeKeyOfTheSimulator-----------A"


def snapshot(part: Part | None = None, minutes: list[Tally] | None = None, **fields: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"outages": [], "waiting": 0, "processes": 1, "now": NOW, **fields}
    pool, reading = wanted.pop("pool", PoolPicture()), wanted.pop("reading", Reading())
    part = part or Part()
    return compose(part, minutes or hour([], 0, part, NOW), pool, reading, **wanted)


def test_every_outcome_is_in_a_line_of_the_chart() -> None:
    assert {str(outcome) for outcome in Outcome} == {str(outcome) for outcome in CLASSES}


def test_a_part_tells_of_running_and_ended_requests_by_the_tails_of_their_keys() -> None:
    live = Live()
    live.begin(1, Request(started=NOW - 3))
    live.begin(2, Request(started=NOW - 1, has_output=True, attempt_number=2))
    live.count(record(Outcome.ANSWERED, attempt(Outcome.CUT), attempt(Outcome.ANSWERED, number=2)), "Ann", NOW)

    part = part_of(live, {1: "x7Qk"})

    assert [(row["started"], row["attempt"], row["speaks"]) for row in part.running] == [
        (NOW - 1, 2, True),
        (NOW - 3, 1, False),
    ]
    [ended] = part.ended
    assert (ended["member"], ended["keys"], ended["outcome"]) == ("Ann", ["x7Qk"], "answered")


def test_a_flood_of_running_requests_is_counted_and_not_listed() -> None:
    live = Live()
    for number in range(500):
        live.begin(number, Request(started=NOW + number))

    part = part_of(live, {})

    assert part.in_flight == 500
    assert [row["started"] for row in part.running] == [NOW + number for number in range(499, 499 - MOST_RUNNING, -1)]


def test_what_looks_like_a_key_is_masked_wherever_a_client_has_put_it() -> None:
    live = Live()
    live.begin(1, Request(model=KEY))
    live.refused(
        errors.UnknownModel(refusals.UNKNOWN_MODEL, {"model": errors.Quoted(KEY)}),
        who="Ann",
        model=KEY,
        request_id=1,
        now=NOW,
    )
    ended = Record(id=1, started_at=WHEN, model=KEY, attempts=[fault(f"no such key {KEY}")])
    live.count(ended, "Ann", NOW)

    shown = encoded(snapshot(part_of(live, {})), "en")

    assert KEY.encode() not in shown
    assert b"***" in shown


def fault(message: str) -> AttemptRecord:
    return attempt(Outcome.UNAVAILABLE, message=message)


def test_sentences_come_in_the_language_of_the_viewer() -> None:
    live = Live()
    live.refused(errors.NoKeys(refusals.NO_KEYS), who="Ann", model="", request_id=1, now=NOW)
    picture = snapshot(part_of(live, {}))

    english, chinese = (orjson.loads(encoded(picture, language))["refusals"][0] for language in ("en", "zh-hans"))

    assert english["text"].startswith("There is no usable Gemini key")
    assert "密钥" in chinese["text"]
    assert "texts" not in english


def test_an_hour_has_sixty_minutes_and_the_database_knows_those_before() -> None:
    live = Live()
    live.count(record(Outcome.ANSWERED), "Ann", NOW - 120)
    live.count(record(Outcome.ANSWERED), "Ann", NOW)
    history = [
        Tally(MINUTE - 200, requests={"answered": 99}),
        Tally(MINUTE - 59, requests={"answered": 7}),
        Tally(MINUTE - 2, requests={"answered": 3}),
    ]

    minutes = hour(history, MINUTE - 1, part_of(live, {}), NOW)

    assert [minute.number for minute in minutes] == list(range(MINUTE - 59, MINUTE + 1))
    counts = {minute.number: minute.requests["answered"] for minute in minutes if minute.requests}
    assert counts == {MINUTE - 59: 7, MINUTE - 2: 3, MINUTE: 1}


def test_rates_are_of_the_last_minutes_and_of_the_hour() -> None:
    tallies = [
        Tally(MINUTE - 30, requests={"answered": 5, "failed": 0, "unavailable": 4, "cancelled": 9}),
        Tally(MINUTE - 1, requests={"answered": 1, "refused": 4}, attempts={"empty": 1, "answered": 3}, tokens=400),
    ]
    minutes = hour(tallies, MINUTE, Part(), MINUTE * 60)

    rates = snapshot(Part(first_outputs=[100, 200, 900]), minutes, now=MINUTE * 60)["rates"]

    # Four whole minutes and a running one that has just begun.
    assert (rates["requests"], rates["tokens"]) == (5 / 4, 100)
    assert rates["errors"] == pytest.approx(0.4)
    assert rates["empties"] == pytest.approx(0.25)
    assert rates["first_median"] == pytest.approx(0.2)
    assert 0.2 < rates["first_slow"] <= 0.9


def test_with_nothing_asked_there_are_no_rates() -> None:
    rates = snapshot()["rates"]

    assert (rates["requests"], rates["tokens"]) == (0, 0)
    assert {rates[name] for name in ("errors", "empties", "first_median", "first_slow")} == {None}


def test_an_ended_request_stays_a_moment() -> None:
    live = Live()
    live.count(record(), "Ann", NOW)

    assert len(snapshot(part_of(live, {}))["ended"]) == 1
    assert snapshot(part_of(live, {}), now=NOW + ENDED_SECONDS)["ended"] == []


@pytest.mark.parametrize(
    ("attempts", "outages", "state"),
    [
        ({}, [], "quiet"),
        ({"answered": 100, "rate_limited": 50, "cut": 9}, [], "well"),
        ({"answered": 80, "timeout": 20}, [], "shaky"),
        ({"answered": 50, "unavailable": 50}, [], "failing"),
        ({"answered": 100}, [Outage("The Gemini API", "", 20, 5.0)], "out"),
    ],
)
def test_it_says_how_google_does(attempts: dict[str, int], outages: list[Outage], state: str) -> None:
    minutes = hour(
        [Tally(MINUTE - 20, attempts={"cut": 999}), Tally(MINUTE, attempts=attempts)], MINUTE + 1, Part(), NOW
    )

    health = snapshot(Part(), minutes, outages=outages)["upstream"]

    assert health["state"] == state
    assert [one["until"] for one in health["outages"]] == [NOW + 5.0 for _ in outages]


def test_several_processes_add_up_to_one() -> None:
    parts = []
    for number in range(2):
        live = Live()
        live.begin(number, Request(started=NOW + number))
        live.count(record(Outcome.ANSWERED, attempt(Outcome.ANSWERED), first_output_ms=100), "Ann", NOW)
        live.count(record(Outcome.UNAVAILABLE, fault(f"process {number}")), "Ann", NOW + number)
        parts.append(Part.unpacked(orjson.loads(orjson.dumps(part_of(live, {}).packed()))))

    both = merged(parts)

    assert both.in_flight == len(both.running) == 2
    assert [minute.requests for minute in both.minutes] == [{"answered": 2, "unavailable": 2}]
    assert both.minutes[0].served == {"gemini-2.5-pro": 2}
    assert both.first_outputs == [100, 100]
    assert both.fault is not None
    assert both.fault["message"] == "process 1"


def test_the_pool_picture_counts_keys_and_what_they_have_left() -> None:
    resting = {"gemini-2.5-pro": ParkEnd(ParkReason.PER_MINUTE, NOW + 30)}
    keys = [KeyStanding(1, "aaaa", 100, parks=resting), KeyStanding(2, "bbbb", 100, is_enabled=False)]
    reading = Reading(used={1: {"gemini-2.5-pro": 40}})
    minutes = [Tally(MINUTE, served={"gemini-2.5-pro": 60})]

    picture = snapshot(pool=pool_picture(keys, reading, minutes, ["gemini-2.5-flash"], NOW), reading=reading)

    assert picture["keys"] == {
        "ready": 1,
        "partly": 1,
        "parked": 0,
        "exhausted": 0,
        "disabled": 1,
        "unreadable": 0,
    }
    pro, flash = picture["models"]
    assert (pro["model"], pro["left"], pro["ready"], pro["returns_at"]) == ("gemini-2.5-pro", 60, 0, NOW + 30)
    assert pro["exhausted_at"] == NOW + 3600
    assert (flash["model"], flash["left"], flash["ready"]) == ("gemini-2.5-flash", 60, 1)
