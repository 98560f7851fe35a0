"""Gemini's own dialect through the door: one answer for each request, and the same limits as everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.gemini import answer
from tests.service.houses import House, house, keys

MODEL = "gemini-2.5-flash"
HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
BOTCHED = "MALFORMED_FUNCTION_CALL"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(
        tmp_path_factory.mktemp("patient"),
        GEMINI_API_KEYS=keys(6),
        FAKE_STREAMING=False,
        HEADERS_HOLD_SECONDS=1,
        HEARTBEAT_SECONDS=0.3,
        MAX_EMPTY_RESPONSES=2,
        BLOCKED_MODELS="gemini-2.0-flash,gemini-embedding-2",
        EXTRA_MODELS=f"{MODEL}-thinking-none",
    ) as started:
        yield started


def ask(house: House, verb: str, body: dict[str, Any], model: str = MODEL) -> Any:
    with house.server.client() as client:
        return client.post(f"/v1beta/models/{model}:{verb}", json=body)


def ends(text: str) -> list[str]:
    """The finishReasons of a stream, in order."""
    events = [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    candidates = [candidate for event in events for candidate in event.get("candidates", [])]
    return [candidate["finishReason"] for candidate in candidates if "finishReason" in candidate]


@pytest.mark.parametrize("reason", ["STOP", BOTCHED])
def test_a_stream_ends_once_however_many_attempts_it_takes(patient: House, reason: str) -> None:
    # Longer than the headers are held: what goes out now cannot be taken back.
    patient.clear().gemini.replies(answer("", finish=reason, before=1.3), answer("the real answer", chunks=1))

    told = ask(patient, "streamGenerateContent?alt=sse", HELLO)

    assert "the real answer" in told.text
    assert ends(told.text) == ["STOP"]
    assert len(patient.gemini.generated) == 2


def test_an_answer_that_calls_tools_on_other_servers_is_heard_to_its_last_end(patient: House) -> None:
    events = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
        for text in ("asking the other server", "what it said")
    ]
    # Longer than hajimi waits after the end of any other answer.
    patient.clear().gemini.replies(answer(events=tuple(events), delay=2.5))

    told = ask(patient, "streamGenerateContent?alt=sse", HELLO | {"tools": [{"mcpServers": [{"name": "weather"}]}]})

    assert "what it said" in told.text
    assert ends(told.text) == ["STOP", "STOP"]


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent?alt=sse"])
def test_half_a_character_in_an_answer_costs_no_further_attempt(patient: House, verb: str) -> None:
    patient.clear().gemini.replies(answer("Smile \ud83d", chunks=1))

    told = ask(patient, verb, HELLO)

    assert "Smile \ufffd" in told.text
    assert len(patient.gemini.generated) == 1


@pytest.mark.parametrize("path", ["/upload/v1beta/files", "/v1beta/files"])
def test_files_are_refused_in_google_s_own_words(patient: House, path: str) -> None:
    with patient.server.client() as client:
        refused = client.post(path, content=b"x", headers={"x-goog-upload-protocol": "resumable"})

    assert refused.status_code == 404
    assert refused.headers["content-type"].startswith("application/json")
    error = refused.json()["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    assert path in error["message"]


def test_an_answer_that_stays_empty_is_passed_on_once(patient: House) -> None:
    patient.clear().gemini.always(answer("", before=0.5))

    told = ask(patient, "streamGenerateContent?alt=sse", HELLO)

    assert ends(told.text) == ["STOP"]
    assert len(patient.gemini.generated) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/v1beta/models/{MODEL}:generateContent", HELLO),
        ("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}),
    ],
    ids=["gemini", "openai"],
)
def test_a_botched_answer_is_asked_for_once_more_and_no_further(
    patient: House, path: str, body: dict[str, Any]
) -> None:
    patient.clear().gemini.always(answer("", finish=BOTCHED))

    with patient.server.client() as client:
        told = client.post(path, json=body)

    assert BOTCHED in told.text
    assert len(patient.gemini.generated) == 2


def test_each_answer_of_a_request_counts(tmp_path: Any) -> None:
    with house(tmp_path, MAX_REQUESTS_PER_MINUTE=4) as started:
        three = HELLO | {"generationConfig": {"candidateCount": 3}}

        statuses = [ask(started, "generateContent", three).status_code for _ in range(2)]

        assert statuses == [200, 429]
        assert started.server.rows("SELECT sum(requests) AS n FROM keys_usage WHERE kind = 'member'") == [{"n": 3}]


@pytest.mark.parametrize(
    ("verb", "model", "body"),
    [
        ("countTokens", MODEL, {"generateContentRequest": {"model": "models/gemini-2.0-flash", **HELLO}}),
        (
            "batchEmbedContents",
            "gemini-embedding-001",
            {"requests": [{"model": "models/gemini-embedding-2", "content": HELLO["contents"][0]}]},
        ),
    ],
)
def test_a_blocked_model_is_blocked_within_a_body_too(
    patient: House, verb: str, model: str, body: dict[str, Any]
) -> None:
    patient.clear().gemini.calls.clear()

    told = ask(patient, verb, body, model)

    assert told.status_code == 404
    assert "not allowed here" in told.json()["error"]["message"]
    assert patient.gemini.calls == []


def test_aliases_work_in_this_dialect(patient: House) -> None:
    gemini = patient.clear().gemini

    assert ask(patient, "countTokens", HELLO, f"{MODEL}-search").status_code == 200
    assert ask(patient, "generateContent", HELLO, f"{MODEL}-search").status_code == 200
    assert gemini.bodies[-1]["tools"] == [{"googleSearch": {}}]
    assert ask(patient, "generateContent", HELLO, f"{MODEL}-thinking-none").status_code == 200
    assert gemini.bodies[-1]["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}
