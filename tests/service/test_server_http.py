"""The server on the wire: framing, limits of a request, and what it makes of odd ones."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.service.tiny_process import read_all, read_until, tiny, until

CAP = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data"), idle_seconds=2, keep_alive_seconds=2, trusted=["127.0.0.1"]) as running:
        yield running


def test_it_answers_several_requests_on_one_connection(server):
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_until(connection, b"\r\n\r\nok").startswith(b"HTTP/1.1 200 OK\r\n")


def test_it_answers_pipelined_requests_in_order(server):
    one = b"GET /v1/models?n=%d HTTP/1.1\r\nHost: x\r\n%b\r\n"

    data = server.talk(one % (1, b"") + one % (2, b"") + one % (3, b"Connection: close\r\n"))

    assert [int(n) for n in re.findall(rb'"n": "(\d)"', data)] == [1, 2, 3]


def test_it_closes_after_http_1_0(server):
    data = server.talk(b"GET /v1/events?count=2 HTTP/1.0\r\n\r\n")

    assert b"transfer-encoding" not in data
    assert b"connection: close" in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_it_sends_no_body_to_head(server):
    data = server.talk(b"HEAD /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    assert body == b""


def test_it_dates_its_answers(server):
    assert server.get("/raw").headers["date"].endswith(" GMT")


def test_it_frames_a_stream_in_chunks_that_end_properly(server):
    data = server.talk(b"GET /v1/events?count=2&pause=0.05 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert b"transfer-encoding: chunked" in data
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_the_head_of_a_stream_goes_out_before_its_first_piece(server):
    with server.connect() as connection:
        connection.sendall(b"GET /v1/events?count=1&pause=1.5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        began = time.monotonic()
        head = read_until(connection, b"\r\n\r\n")
        assert time.monotonic() - began < 1
        assert b"data" not in head
        assert b"[DONE]" in read_all(connection)


def test_a_body_within_the_limit_arrives_whole(server):
    assert server.post("/v1/chat/completions", content=b"x" * CAP).json()["length"] == CAP


def test_a_chunked_body_within_the_limit_arrives_whole(server):
    assert server.post("/v1/chat/completions", content=(b"x" * 1000 for _ in range(900))).json()["length"] == 900_000


def test_an_announced_body_over_the_limit_is_refused_before_it_is_read(server):
    with server.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nbegin")
        head = read_until(connection, b'"code":"body_too_large"')

    assert head.startswith(b"HTTP/1.1 413 The request body is larger than the 1 MB that this server takes")
    assert b"connection: close" in head


@pytest.mark.parametrize("content", [b"x" * (3 * CAP), (b"x" * 65536 for _ in range(48))], ids=["announced", "chunked"])
def test_a_client_that_sends_everything_first_still_reads_the_refusal(server, content):
    answer = server.post("/v1/chat/completions", content=content)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_client_that_waits_for_100_continue_gets_the_refusal_at_once(server):
    data = server.talk(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
    )

    assert data.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in data
    assert b'"type":"request_too_large"' in data


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(server):
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        read_until(connection, b"100 Continue\r\n\r\n")
        connection.sendall(b"hi")
        assert b'"length": 2' in read_until(connection, b"}}")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nBad Name: b\r\n\r\n",
        b"GET /v1/models HTTP/3.0\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(600)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_proper_http_gets_a_400_and_the_connection_ends(server, head):
    data = server.talk(head)

    assert data.startswith(b"HTTP/1.1 400 The request is not valid HTTP.")
    assert json.loads(data.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("value", [b"a\x0bb", b"a\x1fb", b"a\x7fb"])
def test_control_characters_in_a_header_are_refused(server, value):
    data = server.talk(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: %b\r\nConnection: close\r\n\r\n" % value)

    assert data.startswith(b"HTTP/1.1 400 ")


def test_an_address_that_is_not_ascii_is_refused(server):
    data = server.talk(b"GET /v1/\xa1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert data.startswith(b"HTTP/1.1 400 ")


def test_daphne_s_root_path_header_is_dropped(server):
    answer = server.get("/v1/models", headers={"daphne-root-path": "/v1"})

    assert answer.status_code == 200


def test_headers_with_underscores_are_dropped(server):
    answer = server.get("/v1/models", headers={"x_forwarded_for": "6.6.6.6"})

    assert answer.json()["address"] == "127.0.0.1"


def test_a_trusted_proxy_says_who_the_client_is(server):
    answer = server.get("/v1/models", headers={"x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-forwarded-proto": "https"})

    assert answer.json()["address"] == "203.0.113.9"
    assert answer.json()["scheme"] == "https"


def test_an_application_that_answers_nothing_becomes_a_500(server):
    answer = server.get("/nothing")

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"


def test_an_answer_that_its_application_left_half_is_cut_visibly(server):
    data = server.talk(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"half" in data
    assert not data.endswith(b"0\r\n\r\n")


def test_a_line_break_in_a_header_of_an_answer_never_reaches_the_wire(server):
    answer = server.get("/crlf")

    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET /v1/mod",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["nothing", "line", "head", "body", "keep-alive"],
)
def test_a_client_that_stops_in_the_middle_is_dropped(server, begin):
    began = time.monotonic()

    server.talk(begin)

    assert 1.5 < time.monotonic() - began < 8


def test_a_head_that_trickles_in_is_dropped_too(server):
    with server.connect() as connection:
        began = time.monotonic()
        connection.settimeout(0.2)
        data = None
        for byte in b"GET /v1/models HTTP/1.1\r\nX-Long: " + b"a" * 100:
            try:
                connection.sendall(bytes([byte]))
                data = connection.recv(100)
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert not data
        assert time.monotonic() - began < 8


def test_the_access_line_has_the_path_but_never_the_query(server):
    server.get("/v1/models?key=AIzaSySecret")

    assert until(lambda: re.search(r"hajimi.access: GET /v1/models 200 \d+ms \d+B 127.0.0.1\n", server.output))
    assert "AIzaSySecret" not in server.output


def test_a_websocket_talks_and_closes(server):
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    with server.connect() as connection:
        connection.sendall(head + b"Daphne-Root-Path: /x\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        assert b" 101 " in read_until(connection, b"\r\n\r\n")
        connection.sendall(b"\x81\x85\x00\x00\x00\x00hello")
        assert read_until(connection, b"hello") == b"\x81\x05hello"


def test_a_websocket_with_hidden_line_breaks_in_a_header_is_refused(server):
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n"

    assert server.talk(head + b"X: a\x85b\r\n\r\n").startswith(b"HTTP/1.1 400 ")
