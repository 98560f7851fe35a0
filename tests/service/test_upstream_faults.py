"""Every way in which the connection to Google can fail: bounded in time and memory, and told as it was."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gemini import FakeGemini, answer, babble, bomb, end, hang, huge_line, interim, malformed, reset
from tests.service.houses import House, house, keys
from tests.serving import Server, chat, events_of, text_of

MB = 2**20
PATIENCE = {"MAX_ATTEMPTS": 4, "HEADERS_HOLD_SECONDS": 1, "UPSTREAM_TIMEOUT_SECONDS": 2, "HEARTBEAT_SECONDS": 0.5}
# A busy machine takes seconds to carry a flood.
MORE_PATIENCE = {**PATIENCE, "UPSTREAM_TIMEOUT_SECONDS": 30}
WHOLE = "one two three four"


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(20), **PATIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("passing-on")
    with house(folder, GEMINI_API_KEYS=keys(20), FAKE_STREAMING=False, **PATIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def patiently_collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(20), **MORE_PATIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def patiently_passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("passing-on")
    with house(folder, GEMINI_API_KEYS=keys(20), FAKE_STREAMING=False, **MORE_PATIENCE) as started:
        yield started


WAYS = ("whole answer", "collected stream", "true stream")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[House, bool]:
    """Every way an answer can go out: the house, and whether the client wants a stream."""
    name = "passing_on" if request.param == "true stream" else "collecting"
    return request.getfixturevalue(name).clear(), request.param != "whole answer"


@pytest.fixture(params=WAYS)
def patient_way(request: pytest.FixtureRequest) -> tuple[House, bool]:
    """The same ways in houses that wait longer for Google."""
    name = "patiently_passing_on" if request.param == "true stream" else "patiently_collecting"
    return request.getfixturevalue(name).clear(), request.param != "whole answer"


def ask(house: House, stream: bool) -> tuple[httpx.Response, str, dict[str, Any]]:
    """Return the answer, its text and its error."""
    told = house.server.chat("Say it.", stream=stream)
    if not told.headers["content-type"].startswith("text/event-stream"):
        document = told.json()
        choices = document.get("choices", [{"message": {}}])
        return told, choices[0]["message"].get("content") or "", document.get("error", {})
    assert told.text.endswith("data: [DONE]\n\n")
    events = events_of(told.text)
    errors = [event["error"] for event in events[:-1] if "error" in event]
    return told, text_of(events), errors[0] if errors else {}


def outcomes(house: House, told: httpx.Response) -> list[str]:
    return [row["outcome"] for row in house.attempts(told.headers["x-request-id"])]


def peak_memory(server: Server) -> int:
    """Return the most memory that the server's process has ever used."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# Another key makes it good


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (babble(), "unavailable"),
        (babble(b"HTTP/1.1 abc\r\n\r\n"), "unavailable"),
        (babble(b"HTTP/1.1 200 OK\r\ncontent-length: 12x\r\n\r\n"), "unavailable"),
        (babble(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n"), "unavailable"),
        (babble(b""), "cut"),
        (malformed(), "unavailable"),
    ],
)
def test_what_is_no_gemini_answer_is_tried_again(way: tuple[House, bool], fault: Any, outcome: str) -> None:
    house, stream = way
    house.gemini.replies(fault, WHOLE)

    told, text, error = ask(house, stream)

    assert (told.status_code, text, error) == (200, WHOLE, {})
    assert outcomes(house, told) == [outcome, "answered"]
    first, second = house.gemini.keys_used
    assert first != second
    rows = house.server.rows("SELECT * FROM keys_key WHERE disabled_by <> ''") + house.server.rows(
        "SELECT * FROM keys_park"
    )
    assert rows == [], "no key is to blame"


@pytest.mark.parametrize("fault", [interim(), interim(times=20), interim("HTTP/1.1 100 Continue\r\n\r\n")])
def test_interim_answers_are_passed_over(way: tuple[House, bool], fault: Any) -> None:
    house, stream = way
    house.gemini.replies(answer(WHOLE, fault=fault))

    told, text, error = ask(house, stream)

    assert (told.status_code, text, error) == (200, WHOLE, {})
    assert outcomes(house, told) == ["answered"]


def test_an_answer_that_comes_byte_by_byte_is_one_answer(way: tuple[House, bool]) -> None:
    house, stream = way
    house.gemini.replies(answer(WHOLE, drip=7))

    told, text, error = ask(house, stream)

    assert (told.status_code, text, error) == (200, WHOLE, {})
    assert outcomes(house, told) == ["answered"]


# Bounded in memory


@pytest.mark.parametrize("flood", [bomb(300), answer(WHOLE, fault=huge_line(150 * MB, 1))])
def test_a_flood_is_cut_off(patient_way: tuple[House, bool], flood: Any) -> None:
    house, stream = patient_way
    house.server.chat("warm up")
    before = peak_memory(house.server)
    house.gemini.replies(flood, WHOLE)

    told, text, error = ask(house, stream)

    if error:
        # Something had gone out before the flood: nothing is tried again.
        assert (text, error["code"]) == ("one", "answer_cut")
        assert outcomes(house, told) == ["partial"]
    else:
        assert (told.status_code, text) == (200, WHOLE)
        assert outcomes(house, told)[-1] == "answered"
    # A whole answer may have 64 MB, and is held twice for a moment.
    assert peak_memory(house.server) - before < 200 * MB


# Bounded in time


@pytest.mark.parametrize("fault", [hang(), hang(0), answer("x" * 4000, drip=1)])
def test_an_upstream_that_keeps_us_waiting_is_left_in_time(way: tuple[House, bool], fault: Any) -> None:
    house, stream = way
    house.gemini.replies(fault)
    began = time.monotonic()

    told, _text, error = ask(house, stream)

    assert time.monotonic() - began < 4
    house.gemini.wait_until(lambda: house.gemini.in_flight == 0, 2)
    if stream:
        # The hold has ended, so the headers are out; the failure is told inside the stream.
        assert told.status_code == 200
    else:
        assert told.status_code == 503
    assert error["code"] in ("upstream_unavailable", "answer_cut")
    assert outcomes(house, told)[-1] in ("timeout", "partial")


@pytest.mark.parametrize("fault", [hang(2), reset(2), end(2), malformed(2)])
def test_a_stream_that_breaks_after_some_text_says_so(passing_on: House, fault: Any) -> None:
    passing_on.clear().gemini.replies(answer(WHOLE, fault=fault))

    told, text, error = ask(passing_on, True)

    assert (told.status_code, text, error["code"]) == (200, "one two", "answer_cut")
    assert outcomes(passing_on, told) == ["partial"]
    assert passing_on.log(told.headers["x-request-id"])["outcome"] == "partial"
    assert len(passing_on.gemini.generated) == 1, "nothing is tried again once something has gone out"


# No connection at all


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("what", ["refused", "no such name", "no TLS there"])
def test_without_a_connection_the_client_is_told_in_time(what: str, gemini: FakeGemini, tmp_path: Path) -> None:
    address = {
        "refused": f"http://127.0.0.1:{closed_port()}",
        "no such name": "http://gemini.invalid",
        "no TLS there": gemini.url.replace("http:", "https:"),
    }[what]
    server = Server(tmp_path / "data", {"GEMINI_BASE_URL": address, **PATIENCE}).start()
    try:
        began = time.monotonic()
        told = [server.chat(), server.chat(stream=True)]
        assert time.monotonic() - began < 6
        rows = server.rows("SELECT outcome, status FROM proxy_attempt")
        usage = server.rows("SELECT * FROM keys_usage")
    finally:
        server.kill()

    for one in told:
        assert (one.status_code, one.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert int(one.headers["retry-after"]) >= 1
    assert {row["outcome"] for row in rows} == {"unavailable"}
    assert {row["status"] for row in rows} == {None}
    # Nothing reached Google, so nothing is counted.
    assert usage == []


def test_it_answers_again_when_the_connection_is_back(tmp_path: Path) -> None:
    port = closed_port()
    server = Server(tmp_path / "data", {"GEMINI_BASE_URL": f"http://127.0.0.1:{port}", **PATIENCE}).start()
    try:
        assert server.chat().status_code == 503
        with FakeGemini(port=port):
            assert server.chat().status_code == 200
    finally:
        server.kill()


# At most so many at a time


def test_a_key_carries_no_more_than_its_share(tmp_path: Path) -> None:
    with house(tmp_path, GEMINI_API_KEYS=keys(3), MAX_CONCURRENT_PER_KEY=2, HEADERS_HOLD_SECONDS=20) as started:
        started.gemini.always(answer("pong", before=0.1))

        with started.server.client() as client:
            import concurrent.futures

            def one(_: int) -> int:
                return client.post("/v1/chat/completions", json=chat()).status_code

            with concurrent.futures.ThreadPoolExecutor(30) as crowd:
                told = list(crowd.map(one, range(30)))

        # All wait for their turn, none is refused, and none is asked beyond the share.
        assert told == [200] * 30
        assert started.gemini.max_in_flight == 3 * 2
        assert len(started.gemini.generated) == 30


def test_waiting_for_a_busy_key_ends_with_the_hold(tmp_path: Path) -> None:
    with house(tmp_path, GEMINI_API_KEYS=keys(1), MAX_CONCURRENT_PER_KEY=1, HEADERS_HOLD_SECONDS=0.5) as started:
        started.gemini.always(answer("pong", held=True))
        import concurrent.futures

        with concurrent.futures.ThreadPoolExecutor(1) as crowd:
            first = crowd.submit(started.server.chat)
            started.gemini.wait_until(lambda: started.gemini.in_flight == 1)
            refused = started.server.chat()
            started.gemini.release()
            assert first.result().status_code == 200

        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "keys_busy")
        assert refused.headers["retry-after"] == "1"
        assert started.server.chat().status_code == 200
