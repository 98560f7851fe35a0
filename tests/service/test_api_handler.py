"""The API's door: routing, dialects, errors, browsers, hang-ups and heartbeats."""

from __future__ import annotations

import json
import time

import pytest

from tests.service.tiny_process import hang_up, read_all, read_until, tiny, until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data")) as running:
        yield running


def events_in(answer) -> list:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/chat/completions/", "/v1//chat/completions", "/v1/chat/completions/chat/completions"],
)
def test_every_slip_reaches_the_view(server, path):
    assert server.post(path, content=b"{}").json()["length"] == 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/v1/nothing/<script>", 404),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/refuse", 429),
        ("OPTIONS", "/v1/models", 204),
    ],
)
def test_sniffing_no_answer_can_be_taken_for_a_page(server, method, path, status):
    with server.client() as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_arguments_come_from_the_address(server):
    assert server.get("/v1/models/models/gemini-2.5-pro").json() == {"id": "models/gemini-2.5-pro"}
    assert server.get("/v1/models/models%2Fx").json() == {"id": "models/x"}
    assert server.post("/v1beta/models/tuned:x:countTokens").json() == {"id": "tuned:x", "verb": "countTokens"}


def test_an_unknown_address_is_a_404_with_the_envelope(server):
    answer = server.get("/v1/nothing/here")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"
    assert "/v1/nothing/here" in answer.json()["error"]["message"]
    assert answer.reason_phrase.startswith("This address is not part of the API, which begins at /v1. (req_")


def test_another_method_is_a_405_that_names_the_right_ones(server):
    answer = server.get("/v1/messages")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert answer.json()["error"]["message"].startswith("This address takes POST, OPTIONS only. (req_")


def test_an_error_is_told_in_openai_s_words(server):
    answer = server.get("/v1/refuse")

    shown = answer.headers["x-request-id"]
    assert answer.status_code == 429
    assert answer.json() == {
        "error": {
            "message": f'Member "Ann 安" waits 7 s. ({shown})',
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }
    assert answer.reason_phrase == f"Member waits 7 s. ({shown})"
    assert answer.headers["retry-after"] == "7"
    assert "x-should-retry" not in answer.headers
    assert shown.startswith("req_")
    assert answer.headers["x-hajimi-attempts"] == "3"


def test_an_error_is_told_in_google_s_words_on_native_paths(server):
    answer = server.get("/v1beta/refuse")
    message = f'Member "Ann 安" waits 7 s. ({answer.headers["x-request-id"]})'

    assert answer.json() == {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}}


def test_an_error_is_told_in_anthropic_s_words_on_its_path(server):
    document = server.post("/v1/messages").json()

    assert document["type"] == "error"
    message = f'Member "Ann 安" waits 7 s. ({document["request_id"]})'
    details = {"error_code": "rate_limit_exceeded"}
    assert document["error"] == {"type": "rate_limit_error", "message": message, "details": details}
    assert document["request_id"].startswith("req_")


def test_a_fault_of_ours_tells_only_the_request_id(server):
    answer = server.get("/v1/boom")
    shown = answer.headers["x-request-id"]

    assert answer.status_code == 500
    assert "kaboom" not in answer.text
    assert shown in answer.json()["error"]["message"]
    assert until(lambda: f"Request {shown} failed" in server.output and "kaboom" in server.output)


def test_a_compressed_body_is_refused(server):
    answer = server.post("/v1/chat/completions", content=b"x", headers={"content-encoding": "gzip"})

    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "encoded_body"


def test_forwarded_headers_of_a_stranger_are_ignored(server):
    answer = server.get("/v1/models", headers={"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https"})

    assert answer.json()["address"] == "127.0.0.1"
    assert answer.json()["scheme"] == "http"


def test_a_preflight_allows_any_page_and_its_headers(server):
    with server.client() as client:
        answer = client.options(
            "/v1/chat/completions",
            headers={
                "origin": "https://chat.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization, x-stainless-os",
            },
        )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/models", "/v1/refuse", "/v1/nothing"])
def test_a_browser_may_read_answers_and_errors(server, path):
    answer = server.get(path, headers={"origin": "https://chat.example"})

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_a_stream_comes_as_events(server):
    answer = server.get("/v1/events?count=3")

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"].startswith("req_")
    assert [event if event == "[DONE]" else event["n"] for event in events_in(answer)] == [0, 1, 2, "[DONE]"]


def test_a_silent_stream_is_kept_alive_by_comments(server):
    answer = server.get("/v1/events?count=2&pause=0.7&heartbeat=0.2")

    assert 4 <= answer.text.count(": keep-alive\n\n") <= 6
    assert len(events_in(answer)) == 3


def test_a_stream_that_speaks_needs_no_comments(server):
    answer = server.get("/v1/events?count=20&pause=0.05&heartbeat=0.3")

    assert "keep-alive" not in answer.text


def test_a_fault_inside_a_stream_ends_it_in_words(server):
    answer = server.get("/v1/events?count=9&fail=2")

    *events, error, done = events_in(answer)
    assert [event["n"] for event in events] == [0, 1]
    assert error["error"]["code"] == "internal_error"
    assert done == "[DONE]"
    assert "kaboom" not in answer.text


@pytest.mark.parametrize(("path", "name"), [("/v1/slow", "slow"), ("/v1/events?count=999&pause=30", "stream")])
def test_a_client_that_hangs_up_cancels_its_request_at_once(server, path, name):
    marks = [server.seen().count(f"{name} {mark}") for mark in ("cancelled", "cleaned up")]
    connection = server.connect()
    connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    begun = server.seen().count(f"{name} began")
    assert until(lambda: server.seen().count(f"{name} began") >= max(begun, 1))
    time.sleep(0.1)

    hang_up(connection)

    def is_over() -> bool:
        return [server.seen().count(f"{name} {mark}") for mark in ("cancelled", "cleaned up")] == [n + 1 for n in marks]

    assert until(is_over, seconds=3)
    assert until(lambda: f" {499 if name == 'slow' else 200} " in server.output)


def test_a_client_that_leaves_between_pieces_ends_the_stream(server):
    marks = server.seen().count("stream cleaned up")
    with server.connect() as connection:
        connection.sendall(b"GET /v1/events?count=999&pause=0.02 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, b'"n":5')

    assert until(lambda: server.seen().count("stream cleaned up") == marks + 1, seconds=3)


def test_nothing_goes_wrong_in_silence(server):
    quiet = server.output.replace("kaboom", "")
    assert "was destroyed" not in quiet
    assert "never retrieved" not in quiet
    assert "ResourceWarning" not in quiet
    assert quiet.count("Traceback") <= 2


def test_head_answers_like_get_without_a_body(server):
    with server.connect() as connection:
        connection.sendall(b"HEAD /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = read_all(connection)

    assert data.startswith(b"HTTP/1.1 404 ")
    assert data.endswith(b"\r\n\r\n")
