"""How one answer is got: who wins a race, what is retried, and which thoughts go out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from keys.ledger.memory import MemoryLedger
from keys.pool import Pool, PoolKey
from keys.rules import Outcome
from proxy import errors
from proxy.attempts import AFTER_THE_END_SECONDS, Asked
from proxy.behaviour import Behaviour
from proxy.breaker import Breaker
from proxy.journal import Record
from proxy.translation.reply import Delta, FinishDelta, TextDelta, ThoughtDelta
from proxy.upstream.errors import Cut, Garbled, Refused, Unreachable, UpstreamError
from proxy.voice import Voice

NOW = 1_800_000_000.0
Step = dict[str, Any] | float | UpstreamError | asyncio.Event
QUOTA = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "quota",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"},
        ],
    }
}


def says(text: str, *, thought: bool = False, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text, "thought": thought}], "role": "model"}}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}


class Script:
    """An upstream that plays one list of steps per call, in the order of the calls."""

    def __init__(self, *plays: list[Step]) -> None:
        self.plays = list(plays)
        self.calls: list[str] = []
        self.open = 0

    def ask(self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: object) -> Call:
        play = self.plays[min(len(self.calls), len(self.plays) - 1)]
        self.calls.append(key.secret)
        self.open += 1
        return Call(self, play)


class Call:
    """One play of a script."""

    def __init__(self, script: Script, play: list[Step]) -> None:
        self._script = script
        self._steps = iter(play)
        self._closed = False

    async def batch(self) -> list[dict[str, Any]]:
        for step in self._steps:
            if isinstance(step, UpstreamError):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                return [step]
        return []

    async def close(self) -> None:
        self._script.open -= not self._closed
        self._closed = True


class Stage:
    """A pool of ``keys`` keys, an upstream that plays a script, and a record."""

    def __init__(
        self, script: Script, *, keys: int = 3, stream: bool = True, goes_on: bool = False, **behaviour: Any
    ) -> None:
        self.script = script
        self.pool = Pool(MemoryLedger())
        rows = [
            PoolKey(id=number, secret=f"key-{number}", tail="", kind="ai_studio", daily_limit=None, disabled=False)
            for number in range(1, keys + 1)
        ]
        self.pool.replace(rows, (), daily_limit=100, revision=1)
        self.record = Record(id=1, started_at=datetime.fromtimestamp(NOW, UTC))
        settings = Behaviour(**{"headers_hold_seconds": 0.02, **behaviour})
        loop = asyncio.get_running_loop()
        until = loop.time() + settings.upstream_timeout_seconds
        asked = Asked("gemini-2.5-flash", b"{}", stream, until, settings, goes_on=goes_on)
        self.voice = Voice(asked, self.pool, script, self.record, breaker=Breaker(self.pool.usable), now=lambda: NOW)

    async def run(self, each: Callable[[list[Delta]], None] = lambda deltas: None) -> list[Delta]:
        heard: list[Delta] = []
        async with aclosing(self.voice.run()) as run:
            async for deltas in run:
                heard += deltas
                each(deltas)
        return heard

    @property
    def outcomes(self) -> list[str]:
        return [str(attempt.outcome) for attempt in self.record.attempts]

    def is_at_rest(self) -> bool:
        return self.pool.in_flight == 0 and self.script.open == 0


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def thoughts_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, ThoughtDelta))


async def test_one_good_answer_takes_one_attempt() -> None:
    stage = Stage(Script([says("Hel"), says("lo", finish="STOP")]))

    heard = await stage.run()

    assert text_of(heard) == "Hello"
    assert isinstance(heard[-1], FinishDelta)
    assert stage.outcomes == ["answered"]
    assert stage.is_at_rest()


async def test_each_attempt_uses_another_key_while_there_is_one() -> None:
    script = Script([Unreachable("x")], [Cut("x")], [Refused(503, b"")], [says("ok", finish="STOP")])
    stage = Stage(script, keys=3)

    assert text_of(await stage.run()) == "ok"
    assert len(set(script.calls[:3])) == 3
    assert stage.outcomes == ["unavailable", "cut", "unavailable", "answered"]
    assert stage.is_at_rest()


async def test_a_rate_limited_key_is_parked_and_the_next_one_answers() -> None:
    stage = Stage(Script([Refused(429, orjson.dumps(QUOTA))], [says("ok", finish="STOP")]), keys=2)

    assert text_of(await stage.run()) == "ok"
    assert [change.key_id for change in stage.record.changes] == [1]


async def test_when_all_keys_rest_the_client_hears_when_the_first_returns() -> None:
    stage = Stage(Script([Refused(429, orjson.dumps(QUOTA))]), keys=2)

    with pytest.raises(errors.KeysResting) as caught:
        await stage.run()

    assert caught.value.retry_after == pytest.approx(30, abs=2)
    assert stage.outcomes == ["rate_limited", "rate_limited"]
    assert stage.is_at_rest()


async def test_that_all_keys_rest_is_also_said_when_no_attempt_is_left() -> None:
    stage = Stage(Script([Refused(429, orjson.dumps(QUOTA))]), keys=2, max_attempts=2)

    with pytest.raises(errors.KeysResting):
        await stage.run()

    assert stage.is_at_rest()


async def test_a_fault_of_the_request_is_not_retried() -> None:
    body = orjson.dumps({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "bad field"}})
    stage = Stage(Script([Refused(400, body)]))

    with pytest.raises(errors.BadRequest, match="bad field"):
        await stage.run()

    assert stage.outcomes == ["bad_request"]


async def test_an_empty_answer_is_tried_again_as_often_as_allowed() -> None:
    stage = Stage(Script([says("", finish="STOP")]), max_empty_responses=2)

    with pytest.raises(errors.EmptyAnswer):
        await stage.run()

    assert stage.outcomes == ["empty"] * 3


async def test_a_blocked_prompt_takes_one_attempt_and_names_the_category() -> None:
    stage = Stage(Script([{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}]))

    with pytest.raises(errors.ContentBlocked, match="PROHIBITED_CONTENT"):
        await stage.run()

    assert stage.outcomes == ["blocked"]


async def test_a_model_that_thought_all_its_tokens_away_is_not_tried_again() -> None:
    stage = Stage(Script([says("hm", thought=True, finish="MAX_TOKENS")]))

    with pytest.raises(errors.AnswerTruncated, match="max_tokens"):
        await stage.run()

    assert stage.outcomes == ["truncated"]


async def test_attempts_end_with_the_setting_and_a_clear_failure() -> None:
    stage = Stage(Script([Cut("x")]), keys=2, max_attempts=4)

    with pytest.raises(errors.UpstreamFailed):
        await stage.run()

    assert stage.outcomes == ["cut"] * 4


async def test_a_cut_after_visible_output_ends_the_answer_with_an_error() -> None:
    stage = Stage(Script([says("Hel"), Cut("reset")]))
    heard: list[Delta] = []

    with pytest.raises(errors.StoppedEarly):
        await stage.run(heard.extend)

    assert text_of(heard) == "Hel"
    assert stage.outcomes == ["partial"]
    assert stage.is_at_rest()


async def test_a_stream_that_ends_without_a_finish_reason_was_cut() -> None:
    stage = Stage(Script([says("Hel")]))

    with pytest.raises(errors.StoppedEarly):
        await stage.run()


@pytest.mark.parametrize("fault", [Cut("reset"), Garbled("event is not JSON")])
async def test_a_connection_that_breaks_after_the_end_of_an_answer_takes_nothing_from_it(fault: UpstreamError) -> None:
    stage = Stage(Script([says("Hello", finish="STOP"), fault]))

    assert text_of(await stage.run()) == "Hello"
    assert stage.outcomes == ["answered"]


async def test_an_error_that_google_reports_after_the_end_of_an_answer_is_told() -> None:
    stage = Stage(Script([says("Hello", finish="STOP"), Refused(503, b"")]))

    with pytest.raises(errors.StoppedEarly):
        await stage.run()


async def test_an_answer_that_may_go_on_after_its_end_is_waited_for() -> None:
    pause = AFTER_THE_END_SECONDS + 0.3
    stage = Stage(Script([says("calls", finish="STOP"), pause, says(" and tells", finish="STOP")]), goes_on=True)

    assert text_of(await stage.run()) == "calls and tells"
    assert stage.outcomes == ["answered"]


async def test_an_answer_that_may_go_on_after_its_end_is_cut_when_its_connection_breaks() -> None:
    stage = Stage(Script([says("calls", finish="STOP"), Cut("reset")]), goes_on=True)

    with pytest.raises(errors.StoppedEarly):
        await stage.run()


async def test_a_hang_ends_when_the_time_of_the_request_is_over() -> None:
    stage = Stage(Script([60.0]), upstream_timeout_seconds=0.1)

    with pytest.raises(errors.UpstreamFailed):
        await stage.run()

    assert stage.outcomes == ["timeout"]
    assert stage.is_at_rest()


async def test_racing_the_first_visible_output_wins_and_the_losers_are_cancelled() -> None:
    never = asyncio.Event()
    script = Script([never], [0.01, says("fast", finish="STOP")], [says("hm", thought=True), never])
    stage = Stage(script, concurrent_requests=3)

    heard = await stage.run()

    assert text_of(heard) == "fast"
    assert thoughts_of(heard) == ""
    assert sorted(stage.outcomes) == ["answered", "lost_race", "lost_race"]
    assert stage.is_at_rest()


async def test_racers_never_exceed_the_cap_nor_the_attempts() -> None:
    stage = Stage(
        Script([Cut("x")]),
        keys=9,
        concurrent_requests=2,
        increase_concurrent_on_failure=5,
        max_concurrent_requests=3,
        max_attempts=7,
    )

    with pytest.raises(errors.UpstreamFailed):
        await stage.run()

    assert len(stage.outcomes) == 7


async def test_racing_takes_no_key_twice_at_once() -> None:
    script = Script([says("ok", finish="STOP")])
    stage = Stage(script, keys=1, concurrent_requests=3)

    await stage.run()

    assert script.calls == ["key-1"]


async def test_thoughts_wait_for_the_answer_until_the_headers_are_out() -> None:
    batches: list[list[Delta]] = []
    stage = Stage(Script([says("hm", thought=True), says("ok", finish="STOP")]))

    await stage.run(batches.append)

    assert thoughts_of(batches[0]) == "hm"
    assert text_of(batches[0]) == "ok"


async def test_thoughts_go_out_as_they_come_once_the_headers_are_out() -> None:
    gate = asyncio.Event()
    stage = Stage(Script([says("hm", thought=True), gate, says("ok", finish="STOP")]))
    stage.voice.thoughts.allowed = True
    batches: list[list[Delta]] = []

    def note(deltas: list[Delta]) -> None:
        batches.append(deltas)
        gate.set()

    await stage.run(note)

    assert thoughts_of(batches[0]) == "hm"
    assert text_of(batches[0]) == ""
    assert text_of(batches[1]) == "ok"


async def test_after_a_failed_train_of_thought_no_second_one_is_shown() -> None:
    first: list[Step] = [says("one", thought=True), 0.01, Cut("x")]
    second: list[Step] = [says("two", thought=True), 0.01, says("ok", finish="STOP")]
    stage = Stage(Script(first, second))
    stage.voice.thoughts.allowed = True

    heard = await stage.run()

    assert thoughts_of(heard) == "one"
    assert text_of(heard) == "ok"


@pytest.mark.parametrize("width", [1, 3])
async def test_a_client_that_leaves_cancels_every_call_and_frees_every_key(width: int) -> None:
    script = Script([says("hm", thought=True), asyncio.Event()])
    stage = Stage(script, concurrent_requests=width)
    task = asyncio.create_task(stage.run())
    await asyncio.sleep(0.02)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stage.outcomes == [Outcome.CANCELLED] * width
    assert stage.is_at_rest()


async def test_a_client_that_leaves_while_losers_are_called_off_frees_their_keys_too() -> None:
    stage = Stage(Script([says("Hel"), asyncio.Event()], [asyncio.Event()], [asyncio.Event()]), concurrent_requests=3)
    loop = asyncio.get_running_loop()
    # The first words are out; the next thing that happens is that the losers end.
    leaving = asyncio.create_task(stage.run(lambda _: loop.call_soon(leaving.cancel) and None))

    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert stage.is_at_rest()
    assert len(stage.outcomes) == stage.record.attempt_count == 3


async def test_a_client_that_leaves_mid_answer_cancels_the_call() -> None:
    stage = Stage(Script([says("Hel"), asyncio.Event()]))
    heard = asyncio.Event()
    task = asyncio.create_task(stage.run(lambda _: heard.set()))
    await heard.wait()
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stage.outcomes == ["cancelled"]
    assert stage.is_at_rest()
