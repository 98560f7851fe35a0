"""Threats to the server as such: too many at once, bodies that never end, bodies that fill the memory, smuggling."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from tests.service.tiny_process import read_all, read_until, tiny, until

MB = 2**20


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data"), at_once_per_address=5, trusted=["127.0.0.1"]) as running:
        yield running


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data"), at_once_per_address=5) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data"), idle_seconds=2, body_bytes=2 * MB) as running:
        yield running


def slow(server, address: str):
    connection = server.connect()
    connection.sendall(f"GET /v1/slow HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n".encode())
    return connection


def test_many_requests_at_once_from_one_address_do_not_keep_others_out(crowded):
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(slow(crowded, "203.0.113.1"))
        assert until(lambda: crowded.seen().count("slow began") >= 5)

        refused = crowded.get("/v1/models", headers={"x-forwarded-for": "203.0.113.1"})
        other = crowded.get("/v1/models", headers={"x-forwarded-for": "203.0.113.2"})

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert "5 requests running already" in refused.json()["error"]["message"]
    assert other.status_code == 200
    assert until(
        lambda: crowded.get("/v1/models", headers={"x-forwarded-for": "203.0.113.1"}).status_code == 200, seconds=5
    )


def test_rotating_forged_addresses_does_not_help_whoever_comes_straight(strangers):
    with contextlib.ExitStack() as stack:
        for number in range(5):
            stack.enter_context(slow(strangers, f"203.0.113.{number}"))
        # The sixth connection of the same peer is closed at once, whatever it would have claimed.
        with strangers.connect() as sixth:
            assert read_all(sixth) == b""
    assert until(lambda: answers(strangers), seconds=5)


def answers(server) -> bool:
    try:
        return server.get("/v1/models").status_code == 200
    except Exception:
        return False


def test_a_websocket_that_has_ended_is_counted_no_longer(strangers):
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    for _ in range(8):
        with strangers.connect() as connection:
            connection.sendall(head + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                if b" 101 " in connection.recv(2000):
                    continue
        time.sleep(1.2)  # The server looks after ended websockets once a second.

    assert until(lambda: answers(strangers), seconds=5)


def test_a_body_that_trickles_in_byte_by_byte_is_dropped(impatient):
    with impatient.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(0.3)
        began, data = time.monotonic(), None
        while data is None and time.monotonic() - began < 15:
            try:
                connection.sendall(b"x")
                data = connection.recv(100)
            except TimeoutError:
                continue
            except ConnectionError:
                data = b""

    assert data == b""
    assert time.monotonic() - began < 10


def test_a_slow_but_steady_upload_is_not_dropped(impatient):
    with impatient.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(20):
            connection.sendall(b"x" * 3000)
            time.sleep(0.25)
        assert b'"length": 60000' in read_until(connection, b"}}")


def test_unfinished_large_bodies_cannot_fill_the_memory(impatient):
    """Of many who send large bodies and stop before the end, only as many are held as there is room for."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * MB)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(impatient.connect()) for _ in range(8)]
        answers = []
        for connection in connections:
            connection.sendall(head + b"x" * (2 * MB - 1))
        time.sleep(0.3)
        for connection in connections:
            connection.settimeout(0.5)
            try:
                answers.append(connection.recv(200))
            except TimeoutError:
                answers.append(b"")
        assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) >= 4
        assert answers.count(b"") <= 4
        # Those who were let in still get their answers.
        held = [connection for connection, answer in zip(connections, answers, strict=True) if answer == b""]
        for connection in held:
            connection.sendall(b"x")
            assert b"200 OK" in read_until(connection, b"}}")
    # Nothing stays counted.
    for _ in range(5):
        assert impatient.post("/v1/chat/completions", content=b"x" * (2 * MB)).status_code == 200


@pytest.mark.parametrize(
    ("threat", "request_bytes"),
    [
        (
            "content-length and chunked: the second request hides in the body of the first",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /v1/seen HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            "chunked twice",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked in disguise",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked after another coding",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "two lengths in one header",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nab",
        ),
        (
            "negative length",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        ),
        (
            "signed length",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab",
        ),
        (
            "length with an underscore",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n0123456789",
        ),
        (
            "space before the colon",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\nab",
        ),
        (
            "header name with a line feed",
            b"GET /v1/models HTTP/1.1\r\nHost: x\r\nA\nB: c\r\n\r\n",
        ),
        (
            "chunk size with a sign",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        ),
        (
            "chunk size in disguise",
            b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        ),
        (
            "chunk larger than its size",
            b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        ),
        (
            "endless chunk extension",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"a" * 70_000,
        ),
        (
            "endless trailers",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + b"A: b\r\n" * 20_000,
        ),
        ("no method", b" / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("line break in the address", b"GET /v1/models\rX HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("HTTP/0.9", b"GET /v1/models\r\n\r\n"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_smuggling(crowded, threat, request_bytes):
    """Each is refused, or its connection ends; never does a second, hidden request get an answer."""
    with crowded.connect() as connection:
        connection.sendall(request_bytes)
        connection.settimeout(3)
        data = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65536):
                data += piece

    assert data.count(b"HTTP/1.1 ") <= 1, data
    assert b"HTTP/1.1 2" not in data, data


@pytest.mark.parametrize(
    "headers",
    [
        {"daphne-root-path": "/v1"},
        {"x-forwarded-prefix": "/v1"},
        {"x-original-url": "/v1/seen"},
        {"x-rewrite-url": "/v1/seen"},
        {"x-http-method-override": "DELETE"},
        {"x-forwarded-host": "evil.example"},
        {"forwarded": "for=6.6.6.6;proto=https"},
        {"x-real-ip": "6.6.6.6"},
        {"cf-connecting-ip": "6.6.6.6"},
        {"true-client-ip": "6.6.6.6"},
        {"x-forwarded-for": "6.6.6.6"},
        {"x-forwarded-proto": "https"},
        {"x-forwarded-proto": "javascript"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_header_that_claims_to_be_somebody_else(strangers, headers):
    answer = strangers.get("/v1/models", headers=headers)

    assert answer.status_code == 200
    assert answer.json()["address"] == "127.0.0.1"
    assert answer.json()["scheme"] == "http"


@pytest.mark.parametrize("value", ["gzip", "deflate", "br", "GZIP", "gzip, identity", "identity, gzip", "zstd"])
def test_a_decompression_bomb_is_refused_unopened(strangers, value):
    answer = strangers.post(
        "/v1/chat/completions", content=b"\x1f\x8b" + b"\0" * 100, headers={"content-encoding": value}
    )

    assert answer.status_code == 415
    assert json.loads(answer.text)["error"]["code"] == "encoded_body"
