"""A message gets its answer if any key can give it; what cannot be answered is refused once, and truly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gemini import (
    answer,
    blocked,
    empty,
    end,
    error,
    events,
    garbage,
    hang,
    html,
    malformed,
    redirect,
    reset,
    truncated,
    withheld,
)
from tests.service.houses import House, house, keys
from tests.serving import chat, events_of, text_of

MODEL = "gemini-2.5-flash"
MAX_ATTEMPTS = 4
PATIENCE = {"MAX_ATTEMPTS": MAX_ATTEMPTS, "MAX_EMPTY_RESPONSES": 2, "HEADERS_HOLD_SECONDS": 1, "HEARTBEAT_SECONDS": 0.1}


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(12), **PATIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("passing-on")
    with house(folder, GEMINI_API_KEYS=keys(12), FAKE_STREAMING=False, **PATIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def racing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    race = {"CONCURRENT_REQUESTS": 2, "INCREASE_CONCURRENT_ON_FAILURE": 5, "MAX_CONCURRENT_REQUESTS": 3}
    folder = tmp_path_factory.mktemp("racing")
    with house(
        folder, GEMINI_API_KEYS=keys(6), FAKE_STREAMING=False, UPSTREAM_TIMEOUT_SECONDS=1.5, **PATIENCE, **race
    ) as started:
        yield started


@dataclass
class Told:
    """What a client was told, streamed or not."""

    response: httpx.Response
    text: str
    thoughts: str
    finish: str | None
    error: dict[str, Any]

    @property
    def status(self) -> int:
        return self.response.status_code


@dataclass
class Door:
    """A house, and whether its clients ask for a stream."""

    house: House
    stream: bool

    def ask(self, **fields: Any) -> Told:
        response = self.house.server.chat("Say it.", **{"model": MODEL, "stream": self.stream, **fields})
        if response.headers["content-type"].startswith("text/event-stream"):
            return _streamed(response)
        document = response.json()
        [choice] = document.get("choices", [{"message": {}, "finish_reason": None}])
        message = choice["message"]
        thoughts = message.get("reasoning_content") or ""
        told = Told(
            response, message.get("content") or "", thoughts, choice["finish_reason"], document.get("error", {})
        )
        assert bool(told.error) == (told.status != 200)
        return told

    def outcomes(self, told: Told) -> list[str]:
        return [row["outcome"] for row in self.house.attempts(told.response.headers["x-request-id"])]


def _streamed(response: httpx.Response) -> Told:
    assert response.status_code == 200
    assert response.text.endswith("data: [DONE]\n\n")
    *documents, done = events_of(response.text)
    assert done == "[DONE]"
    choices = [choice for document in documents for choice in document.get("choices", [])]
    thoughts = "".join(choice["delta"].get("reasoning_content") or "" for choice in choices)
    finish = next((choice["finish_reason"] for choice in choices if choice["finish_reason"]), None)
    errors = [document["error"] for document in documents if "error" in document]
    assert errors == errors[:1]
    return Told(response, text_of(documents), thoughts, finish, errors[0] if errors else {})


@pytest.fixture(params=["whole answer", "collected stream", "true stream"])
def door(request: pytest.FixtureRequest) -> Door:
    """Every way an answer can go out."""
    name = "passing_on" if request.param == "true stream" else "collecting"
    return Door(request.getfixturevalue(name).clear(), stream=request.param != "whole answer")


@pytest.fixture
def collected(collecting: House) -> Door:
    return Door(collecting.clear(), stream=True)


@pytest.fixture
def true_stream(passing_on: House) -> Door:
    return Door(passing_on.clear(), stream=True)


@pytest.fixture
def race(racing: House) -> Door:
    return Door(racing.clear(), stream=True)


# Another key makes it good

FAILURES = {
    "rate limited": (error("exhausted"), "rate_limited"),
    "internal error": (500, "unavailable"),
    "overloaded": (503, "unavailable"),
    "deadline": (504, "unavailable"),
    "cancelled by Google": (499, "unavailable"),
    "invalid key": (error("invalid_key"), "key_rejected"),
    "suspended key": (error("suspended"), "key_rejected"),
    "error in a list": (error("internal", array=True), "unavailable"),
    "model unknown to this key": (error("model_not_found"), "not_found"),
    "web page": (html(502), "unavailable"),
    "web page with status 200": (html(200), "unavailable"),
    "redirect": (redirect("http://127.0.0.1:9/"), "unavailable"),
    "no JSON": (garbage(), "unavailable"),
    "no object": (garbage(b"[]"), "unavailable"),
    "connection reset": (reset(), "cut"),
    "connection reset after the headers": (reset(0), "cut"),
    "empty answer": (empty(), "empty"),
    "thoughts only": (answer("", thoughts="Hm."), "empty"),
    "finish reason OTHER without text": (empty("OTHER"), "empty"),
    "a candidate of nothing": (events({"candidates": [{"finishReason": "STOP"}]}), "empty"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_another_key_answers_after(door: Door, failure: str) -> None:
    reply, outcome = FAILURES[failure]
    door.house.gemini.replies(reply, "pong")

    told = door.ask()

    assert (told.status, told.text, told.finish) == (200, "pong", "stop")
    first, second = door.house.gemini.keys_used
    assert first != second
    assert told.thoughts == ""
    assert told.response.headers["x-hajimi-attempts"] == "2"
    assert door.outcomes(told) == [outcome, "answered"]


def test_a_key_that_google_rejects_is_disabled_and_not_asked_again(collected: Door) -> None:
    gemini, server = collected.house.gemini, collected.house.server
    gemini.replies(error("expired_key"))

    assert collected.ask().status == 200

    rejected = gemini.keys_used[0]
    [row] = server.rows("SELECT * FROM keys_key WHERE tail = ?", rejected[-4:])
    assert row["disabled_by"] == "google"
    assert "expired" in row["disabled_reason"]
    for _ in range(13):
        collected.ask()
    assert gemini.keys_used.count(rejected) == 1


def test_a_cut_while_collecting_is_retried_to_one_whole_text(collected: Door) -> None:
    whole = "one two three four"
    collected.house.gemini.replies(
        answer(whole, fault=reset(2)), answer(whole, fault=end(2)), answer(whole, fault=malformed(1)), whole
    )

    told = collected.ask()

    assert (told.text, told.finish, told.error) == (whole, "stop", {})
    assert collected.outcomes(told)[-1] == "answered"
    assert len(set(collected.house.gemini.keys_used)) == 4


def test_while_collecting_the_client_hears_comments_only(collected: Door) -> None:
    collected.house.gemini.replies(answer("pong", before=1.6))

    told = collected.ask()

    comments, _, rest = told.response.text.partition("data: ")
    assert set(comments.split("\n\n")) == {": keep-alive", ""}
    assert comments.count(": keep-alive") >= 3
    assert "keep-alive" not in rest
    assert told.text == "pong"


# Nobody can make it good


def test_empty_answers_are_tried_again_max_empty_responses_times(door: Door) -> None:
    door.house.gemini.always(empty())

    told = door.ask()

    assert (told.status, told.error["code"]) == (502, "empty_answer")
    assert "3 times" in told.error["message"]
    assert len(door.house.gemini.generated) == 1 + 2
    assert told.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent?alt=sse"])
def test_natively_an_answer_that_stays_empty_is_passed_on_as_google_gave_it(collected: Door, verb: str) -> None:
    gemini, server = collected.house.gemini, collected.house.server
    gemini.always(empty())

    with server.client("") as client:
        body = {"contents": [{"parts": [{"text": "hi"}]}]}
        answered = client.post(f"/v1beta/models/{MODEL}:{verb}", json=body, headers={"x-goog-api-key": server.password})

    assert answered.status_code == 200
    assert '"finishReason":"STOP"' in answered.text
    assert len(gemini.generated) == 1 + 2
    assert collected.house.log(answered.headers["x-request-id"])["outcome"] == "empty"


def test_max_attempts_bounds_the_attempts(door: Door) -> None:
    door.house.gemini.always(500)
    began = time.monotonic()

    told = door.ask()

    # The pauses fit into the time that the headers are held, so the status is true.
    assert time.monotonic() - began < 2.5
    assert (told.status, told.error["code"]) == (503, "upstream_unavailable")
    assert int(told.response.headers["retry-after"]) >= 1
    assert told.response.headers["x-should-retry"] == "false"
    assert len(set(door.house.gemini.keys_used)) == len(door.house.gemini.generated) == MAX_ATTEMPTS
    assert door.house.log(told.response.headers["x-request-id"])["attempt_count"] == MAX_ATTEMPTS


FINAL = {
    "blocked prompt": (blocked("PROHIBITED_CONTENT"), 400, "content_filter", "PROHIBITED_CONTENT"),
    "prompt on the blocklist": (blocked("BLOCKLIST"), 400, "content_filter", "BLOCKLIST"),
    "withheld for safety": (withheld("SAFETY"), 400, "content_filter", "SAFETY"),
    "withheld as recitation": (withheld("RECITATION"), 400, "content_filter", "RECITATION"),
    "withheld for personal data": (withheld("SPII"), 400, "content_filter", "SPII"),
    "all tokens spent on thoughts": (truncated(), 502, "answer_truncated", "max_tokens"),
    "location": (error("location"), 502, "location_refused", "location"),
    "request refused": (error("too_many_tokens"), 400, "invalid_request", "token count exceeds"),
}


@pytest.mark.parametrize("case", FINAL)
def test_another_key_changes_nothing_about(door: Door, case: str) -> None:
    reply, status, code, words = FINAL[case]
    door.house.gemini.always(reply)

    told = door.ask()

    assert (told.status, told.error["code"]) == (status, code)
    assert words in told.error["message"]
    assert "\n" not in told.error["message"]
    assert len(door.house.gemini.generated) == 1
    assert told.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in told.response.headers


def test_a_model_that_three_keys_do_not_know_is_not_found(door: Door) -> None:
    door.house.gemini.always(error("model_not_found"), model="gemini-3.1-flash-lite")

    told = door.ask(model="gemini-3.1-flash-lite")

    assert (told.status, told.error["code"]) == (404, "model_not_found")
    assert len(set(door.house.gemini.keys_used)) == len(door.house.gemini.generated) == 3


def test_text_that_is_then_withheld_ends_as_filtered(door: Door) -> None:
    door.house.gemini.replies(withheld("SAFETY", text="It was a dark"))

    told = door.ask()

    assert (told.status, told.text, told.finish, told.error) == (200, "It was a dark", "content_filter", {})


def test_a_pool_without_keys_refuses_and_is_not_ready(tmp_path: Path) -> None:
    with house(tmp_path, GEMINI_API_KEYS="") as keyless:
        for stream in (False, True):
            told = Door(keyless, stream).ask()
            assert (told.status, told.error["code"]) == (503, "no_keys")
        assert keyless.gemini.generated == []
        with keyless.server.client() as client:
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200


# After visible output


@pytest.mark.parametrize("fault", [reset(2), end(2), malformed(2)], ids=["reset", "ended early", "garbled"])
def test_a_true_stream_that_breaks_off_ends_with_an_error_event(true_stream: Door, fault: Any) -> None:
    true_stream.house.gemini.replies(answer("one two three four", chunks=4, delay=0.05, fault=fault))

    told = true_stream.ask()

    assert told.text
    assert "one two three four".startswith(told.text)
    assert (told.error["code"], told.finish) == ("answer_cut", None)
    assert len(true_stream.house.gemini.generated) == 1
    assert true_stream.outcomes(told) == ["partial"]
    row = true_stream.house.log(told.response.headers["x-request-id"])
    assert (row["outcome"], row["code"]) == ("partial", "answer_cut")


@pytest.mark.parametrize("fault", [reset(4), hang(4), malformed(4)], ids=["reset", "silence", "garbled"])
@pytest.mark.parametrize(
    ("path", "asked", "last"),
    [
        ("/v1/chat/completions", chat(stream=True), "data: [DONE]"),
        (
            f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
            {"contents": [{"role": "user", "parts": [{"text": "ping"}]}]},
            '"STOP"',
        ),
        (
            "/v1/messages",
            {"model": MODEL, "max_tokens": 99, "stream": True, "messages": [{"role": "user", "content": "ping"}]},
            "message_stop",
        ),
    ],
    ids=["openai", "gemini", "anthropic"],
)
def test_an_answer_that_google_has_ended_is_whole_whatever_becomes_of_its_connection(
    passing_on: House, fault: Any, path: str, asked: dict[str, Any], last: str
) -> None:
    passing_on.clear().gemini.replies(answer("one two three four", chunks=4, fault=fault))

    with passing_on.server.client() as client:
        told = client.post(path, json=asked)

    assert told.status_code == 200
    assert last in told.text.splitlines()[-1] or last in told.text.strip().rpartition("\n\n")[2]
    assert "four" in told.text
    assert "error" not in told.text
    assert passing_on.log(told.headers["x-request-id"])["outcome"] == "answered"
    assert len(passing_on.gemini.generated) == 1
    passing_on.gemini.wait_until(lambda: passing_on.gemini.in_flight == 0, 2)


@pytest.mark.parametrize("fault", [reset(3), hang(3)], ids=["reset", "silence"])
def test_a_whole_answer_that_has_come_is_whole_whatever_becomes_of_its_connection(
    collecting: House, fault: Any
) -> None:
    collecting.clear().gemini.replies(answer("one two three four", fault=fault))
    door = Door(collecting, stream=False)
    began = time.monotonic()

    told = door.ask()

    assert (told.status, told.text, told.finish) == (200, "one two three four", "stop")
    assert time.monotonic() - began < 10
    assert door.outcomes(told) == ["answered"]
    assert len(collecting.gemini.generated) == 1
    collecting.gemini.wait_until(lambda: collecting.gemini.in_flight == 0, 2)


def test_an_empty_answer_whose_connection_hangs_is_tried_again(true_stream: Door) -> None:
    true_stream.house.gemini.replies(empty(fault=hang(1)), answer("pong"))

    told = true_stream.ask()

    assert (told.status, told.text, told.error) == (200, "pong", {})


def test_a_failure_after_the_headers_is_an_error_event(door: Door) -> None:
    door.house.gemini.replies(blocked("SAFETY", before=1.3))

    told = door.ask()

    assert told.status == (200 if door.stream else 400)
    assert told.error["code"] == "content_filter"
    assert door.house.log(told.response.headers["x-request-id"])["outcome"] == "blocked"


def test_thoughts_of_a_later_attempt_are_dropped_when_earlier_ones_went_out(true_stream: Door) -> None:
    true_stream.house.gemini.replies(
        answer("never", thoughts="First.\n\nMore.\n\n", delay=1.3, fault=reset(2)),
        answer("text", thoughts="Second.\n\n"),
    )

    told = true_stream.ask()

    assert (told.text, told.finish, told.error) == ("text", "stop", {})
    assert told.thoughts == "First.\n\nMore.\n\n"


# Whoever leaves


def test_a_client_that_leaves_cancels_the_call_upstream(door: Door) -> None:
    gemini, server = door.house.gemini, door.house.server
    gemini.replies(answer("never", before=20))
    cancelled = "SELECT id FROM proxy_requestlog WHERE outcome = 'cancelled'"
    before = len(server.rows(cancelled))

    with server.client(timeout=0.5) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=chat("Say it.", model=MODEL, stream=door.stream))

    gemini.wait_until(lambda: gemini.generated[0].ended == "client_gone")
    gemini.wait_until(lambda: len(server.rows(cancelled)) == before + 1)
    assert len(gemini.generated) == 1


# Races


def test_the_first_visible_output_wins_and_the_loser_is_cancelled(race: Door) -> None:
    race.house.gemini.replies(answer("slow", before=1.2), answer("fast", before=0.1))

    told = race.ask()

    assert told.text == "fast"
    assert sorted(race.outcomes(told)) == ["answered", "lost_race"]
    slow, fast = sorted(race.house.gemini.generated, key=lambda call: call.ended != "client_gone")
    race.house.gemini.wait_until(lambda: {slow.ended, fast.ended} == {"client_gone", "finished"})
    assert slow.key != fast.key


def test_thoughts_do_not_win_a_race(race: Door) -> None:
    race.house.gemini.replies(answer("late", thoughts="Hm.\n\n", delay=1.0), answer("fast", before=0.2))

    told = race.ask()

    assert (told.text, told.thoughts) == ("fast", "")


def test_a_racer_makes_good_for_one_that_hangs(race: Door) -> None:
    race.house.gemini.replies(hang(), "pong")
    began = time.monotonic()

    assert race.ask().text == "pong"

    assert time.monotonic() - began < 1.4


def test_max_attempts_counts_racers_and_never_more_than_three_run(race: Door) -> None:
    race.house.gemini.always(error("internal", before=0.1))

    told = race.ask()

    assert told.status == 503
    assert len(race.house.gemini.generated) == MAX_ATTEMPTS
    assert 2 <= race.house.gemini.max_in_flight <= 3
    assert len(set(race.house.gemini.keys_used)) == MAX_ATTEMPTS


def test_an_upstream_that_hangs_is_given_up_at_the_timeout(race: Door) -> None:
    race.house.gemini.always(hang())
    began = time.monotonic()

    told = race.ask(stream=False)

    assert 1.4 < time.monotonic() - began < 4
    assert (told.status, told.error["code"]) == (503, "upstream_unavailable")
    assert "1.5 s" in told.error["message"]


def test_a_stream_that_hangs_after_visible_output_ends_with_an_error_event(race: Door) -> None:
    race.house.gemini.always(answer("one two three", chunks=3, fault=hang(1)))

    told = race.ask()

    assert told.text
    assert "one two three".startswith(told.text)
    assert told.error["code"] == "answer_cut"
