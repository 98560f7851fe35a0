"""hajimi served by uvicorn and by Granian: what of Daphne's manners must be the same there."""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from tests.gemini import FakeGemini, answer
from tests.serving import NotStarted, Server, chat, events_of, text_of

Serve = Callable[..., Server]
pytestmark = pytest.mark.parametrize("other", ["uvicorn", "granian"])


def test_it_answers_whole_and_streamed_and_ends_with_0(gemini: FakeGemini, serve: Serve, other: str) -> None:
    gemini.always("one two three")
    server = serve(SERVER=other, FAKE_STREAMING=False)

    assert server.chat().json()["choices"][0]["message"]["content"] == "one two three"
    events = events_of(server.chat(stream=True).text)
    assert (text_of(events), events[-1]) == ("one two three", "[DONE]")
    refused = server.chat(model="no-such-model")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert server.stop() == 0
    assert [row["outcome"] for row in server.rows("SELECT outcome FROM proxy_requestlog")][:2] == ["answered"] * 2
    assert re.search(r"hajimi.access: POST /v1/chat/completions 200 \d+ms \d+B 127\.0\.0\.1", server.output)
    assert "Traceback" not in server.output


def test_a_shutdown_ends_a_stream_in_words_after_its_patience(gemini: FakeGemini, serve: Serve, other: str) -> None:
    gemini.always(answer("one two three four five", delay=5.0))
    server = serve(SERVER=other, FAKE_STREAMING=False, DRAIN_SECONDS=0.5)
    heard: list[str] = []

    def listen() -> None:
        with server.client() as client:
            heard.append(client.post("/v1/chat/completions", json=chat(stream=True), timeout=30).text)

    listener = threading.Thread(target=listen)
    listener.start()
    gemini.wait_until(lambda: bool(gemini.generated))
    threading.Event().wait(0.6)

    assert server.stop() == 0
    listener.join()
    assert "shutting down" in heard[0]
    assert heard[0].rstrip().endswith("data: [DONE]")


def test_a_client_that_hangs_up_ends_the_call_to_google(gemini: FakeGemini, serve: Serve, other: str) -> None:
    gemini.always(answer("one two three four five", delay=3.0))
    server = serve(SERVER=other, FAKE_STREAMING=False)

    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as reply:
        next(reply.iter_raw())

    gemini.wait_until(lambda: gemini.generated[0].ended == "client_gone")
    assert server.stop() == 0


def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    gemini: FakeGemini, serve: Serve, other: str
) -> None:
    forwarded = {"x-forwarded-for": "198.51.100.7"}
    for proxies, address in (("", "127.0.0.1"), ("127.0.0.0/8", "198.51.100.7")):
        server = serve(SERVER=other, TRUSTED_PROXIES=proxies)
        with server.client(headers={"authorization": f"Bearer {server.password}", **forwarded}) as client:
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        assert server.stop() == 0
        assert server.rows("SELECT address FROM proxy_requestlog ORDER BY id DESC")[0]["address"] == address


def test_one_address_has_only_so_many_requests_at_once(gemini: FakeGemini, serve: Serve, other: str) -> None:
    gemini.always(answer("one two three four five", delay=3.0))
    server = serve(SERVER=other, FAKE_STREAMING=False, MAX_PARALLEL_REQUESTS_PER_IP=1)

    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as reply:
        pieces = reply.iter_raw()
        next(pieces)
        refused = server.chat()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


def test_a_port_in_use_is_said_in_one_line(serve: Serve, other: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NotStarted) as failure:
        serve(SERVER=other, PORT=taken.getsockname()[1])

    assert "hajimi cannot start: cannot listen on 127.0.0.1:" in str(failure.value)
    assert "PORT must be a free port." in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_a_terminal_that_closes_ends_it_like_sigterm(serve: Serve, other: str) -> None:
    server = serve(SERVER=other)

    server.signal(signal.SIGHUP)

    assert server.wait() == 0
