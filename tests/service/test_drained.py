"""What the log says of answers that the end of the server cut short."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.gemini import FakeGemini, answer
from tests.serving import Server, chat

Serve = Callable[..., Server]


@pytest.mark.parametrize(("before", "outcome"), [(30.0, "refused"), (0.0, "partial")])
def test_an_answer_that_a_shutdown_ends_is_not_blamed_on_the_client(
    gemini: FakeGemini, serve: Serve, before: float, outcome: str
) -> None:
    gemini.always(answer("one two three four five", before=before, delay=5.0))
    server = serve(FAKE_STREAMING=False, DRAIN_SECONDS=0.5, HEADERS_HOLD_SECONDS=0.2)
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
    assert [(row["outcome"], row["status"]) for row in server.rows("SELECT * FROM proxy_requestlog")] == [
        (outcome, 503)
    ]
