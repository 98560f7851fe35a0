"""What SIGTERM does to answers that are under way."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from tests.service.tiny_process import read_all, read_until, tiny, until


@pytest.fixture
def start(tmp_path):
    servers = []

    def begin(**limits):
        running = tiny(tmp_path, **limits)
        servers.append(running)
        return running.__enter__()

    yield begin
    for running in servers:
        running.__exit__(None, None, None)


def ask(server, path, head=b""):
    connection = server.connect()
    connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), head))
    return connection


def ended(server) -> list[str]:
    [line] = [line for line in server.lines if line.startswith("stopped ")]
    return json.loads(line.removeprefix("stopped "))


def test_an_idle_server_ends_at_once_with_0(start):
    server = start()
    with server.connect() as idle:
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert read_all(idle) == b""
    assert ended(server) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_terminal_that_closes_end_it_like_sigterm(start, number):
    assert start().stop(number) == 0


def test_running_answers_finish_and_new_connections_are_refused(start):
    server = start(drain_seconds=10)
    with ask(server, "/v1/slow?seconds=1.5") as slow, ask(server, "/v1/events?count=6&pause=0.3") as stream:
        read_until(stream, b"data")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert read_all(slow).endswith(b'{"ok": true}')
        assert read_all(stream).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert server.wait() == 0


def test_after_the_patience_streams_end_in_words_and_views_clean_up(start):
    server = start(drain_seconds=0.5)
    with ask(server, "/v1/slow?seconds=60") as slow, ask(server, "/v1/events?count=999&pause=0.2") as stream:
        read_until(stream, b"data")
        server.process.send_signal(signal.SIGTERM)
        whole, streamed = read_all(slow), read_all(stream)
    assert server.wait() == 0

    assert whole.startswith(b"HTTP/1.1 503 This server is shutting down; try again in a moment.")
    assert b"retry-after: 5" in whole
    assert streamed.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    last = json.loads(streamed.split(b"data: ")[-2].partition(b"\n")[0])
    assert last["error"]["code"] == "not_ready"
    assert {"slow cancelled", "slow cleaned up", "stream cancelled", "stream cleaned up"} <= set(ended(server))


def test_an_upload_in_progress_does_not_hold_the_end_up(start):
    server = start(drain_seconds=0.5)
    with server.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10


def test_a_client_that_does_not_read_does_not_hold_the_end_up(start):
    server = start(drain_seconds=0.5)
    with server.connect(receive_buffer=8192) as connection:
        connection.sendall(b"GET /v1/firehose?mb=50 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, b"xxx")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 20
    assert "firehose cleaned up" in ended(server)


def test_a_second_signal_ends_the_waiting(start):
    server = start(drain_seconds=60)
    with ask(server, "/v1/slow?seconds=60") as slow:
        until(lambda: "slow began" in server.seen())
        threading.Timer(0.5, server.process.send_signal, [signal.SIGTERM]).start()
        threading.Timer(1.0, server.process.send_signal, [signal.SIGTERM]).start()
        assert read_all(slow).startswith(b"HTTP/1.1 503 ")
    assert server.wait() == 0


def test_websockets_are_closed_as_going_away(start):
    server = start(drain_seconds=0.5)
    head = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    with ask(server, "/ws", head + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") as connection:
        read_until(connection, b"\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        assert read_until(connection, b"\x03\xe9").startswith(b"\x88")
    assert server.wait() == 0


def test_a_port_in_use_is_said_in_one_line(start, tmp_path):
    first = start()

    with pytest.raises(
        AssertionError, match=r"CannotListen: cannot listen on 127\.0\.0\.1:\d+: Address already in use; PORT"
    ):
        start(port=first.port)
