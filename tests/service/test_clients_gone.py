"""Clients that go, vanish or do not read: Google is let go of at once, keys come back, and the log says what was."""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hajimi_site.peers import GONE_SECONDS
from hajimi_site.supervisor import listening_socket
from tests.gemini import answer, events, hang
from tests.service.houses import House, house, keys
from tests.serving import Server, chat

MB = 2**20
READERS = 20
# Within how many seconds Google is let go of, and the row says so.
PROMISED = 1.0
# The same with leave for a busy machine, where it is asked only once.
SOON = 3.0
# Linux: lets the kernel forget a connection without a word to the other end.
TCP_REPAIR = 19
# Linux: a filter of one word that lets no packet in (man 7 socket).
SO_ATTACH_FILTER = 26
BPF_RETURN = 0x06


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("gone")
    settings = {"FAKE_STREAMING": False, "HEARTBEAT_SECONDS": 0.2, "MAX_CONCURRENT_PER_KEY": 1}
    with house(folder, GEMINI_API_KEYS=keys(1), HEADERS_HOLD_SECONDS=0.5, **settings) as running:
        yield running


@contextlib.contextmanager
def sent(server: Server, path: str, content: Any, *, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """Send a request over a plain connection."""
    address = urlsplit(server.base_url)
    with socket.socket() as connection:
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect((address.hostname, address.port))
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.password}\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        yield connection


def asking(
    server: Server, *, receive_buffer: int = 0, **fields: Any
) -> contextlib.AbstractContextManager[socket.socket]:
    """Send a chat over a plain connection."""
    return sent(server, "/v1/chat/completions", chat("Say it.", **fields), receive_buffer=receive_buffer)


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def outcomes(server: Server) -> list[str]:
    return [row["outcome"] for row in server.rows("SELECT outcome FROM proxy_requestlog ORDER BY id")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reply", [answer("pong", held=True), hang(0), hang(1)])
def test_a_client_that_goes_lets_google_go(started: House, stream: bool, reply: Any) -> None:
    gemini, server = started.clear().gemini, started.server
    gemini.always(reply)
    before = outcomes(server)

    with asking(server, stream=stream):
        gemini.wait_until(lambda: gemini.in_flight == 1)
        time.sleep(0.1)
    until(lambda: gemini.in_flight == 0, SOON)

    assert gemini.generated[0].ended == "client_gone"
    until(lambda: outcomes(server) == [*before, "cancelled"], SOON)
    [attempt] = server.rows("SELECT outcome FROM proxy_attempt ORDER BY id DESC LIMIT 1")
    assert attempt["outcome"] == "cancelled"
    # The only key carries one attempt at a time: it is back.
    gemini.always("pong")
    assert server.chat().status_code == 200


def test_letting_go_takes_less_than_a_second(started: House) -> None:
    gemini, server = started.clear().gemini, started.server
    gemini.always(hang(1))
    took = []
    for rows in range(len(outcomes(server)), len(outcomes(server)) + 5):
        with asking(server, stream=True):
            gemini.wait_until(lambda: gemini.in_flight == 1)
        began = time.monotonic()
        until(lambda rows=rows: gemini.in_flight == 0 and len(outcomes(server)) > rows, SOON)
        took.append(time.monotonic() - began)

    # A machine that does other things as well may be late now and then; a wait of our own would be there every time.
    assert min(took) < PROMISED, took


def test_a_client_that_goes_while_waiting_for_a_key_takes_none(started: House) -> None:
    gemini, server = started.clear().gemini, started.server
    gemini.always(hang(1))
    with asking(server, stream=True):
        gemini.wait_until(lambda: gemini.in_flight == 1)
        with asking(server, stream=True):
            time.sleep(0.2)
    until(lambda: gemini.in_flight == 0, SOON)

    gemini.always("pong")
    assert server.chat().status_code == 200
    assert len(gemini.generated) == 2


def test_a_client_that_vanishes_without_a_word_is_found_by_heartbeats(started: House) -> None:
    gemini, server = started.clear().gemini, started.server
    gemini.always(hang(1))

    with asking(server, stream=True) as connection:
        gemini.wait_until(lambda: gemini.in_flight == 1)
        until(lambda: b"keep-alive" in connection.recv(65536), 10)
        # From here on this end says nothing by itself, as a machine that was switched off and on again.
        vanish(connection)
        until(lambda: gemini.in_flight == 0, SOON)

    until(lambda: outcomes(server)[-1] == "cancelled", SOON)


def vanish(connection: socket.socket) -> None:
    """Close the socket without telling the other end."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        pytest.skip("making a connection vanish takes root")
    connection.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="making a connection deaf takes Linux")
def test_clients_whose_network_is_gone_are_found_by_the_kernel(tmp_path: Path) -> None:
    settings = {"FAKE_STREAMING": False, "HEARTBEAT_SECONDS": 0.5, "HEADERS_HOLD_SECONDS": 0.5}
    native = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    with house(tmp_path, GEMINI_API_KEYS=keys(3), **settings) as running, contextlib.ExitStack() as stack:
        gemini, server = running.gemini, running.server
        gemini.always(hang(1))
        # A stream with heartbeats, an answer that is waited for in silence, a stream without heartbeats.
        clients = [
            stack.enter_context(asking(server, stream=True)),
            stack.enter_context(asking(server)),
            stack.enter_context(sent(server, native, {"contents": [{"role": "user", "parts": [{"text": "Say it."}]}]})),
        ]
        gemini.wait_until(lambda: gemini.in_flight == 3)
        time.sleep(1)
        for client in clients:
            deafen(client)
        until(lambda: gemini.in_flight == 0, GONE_SECONDS + 15)

        until(lambda: outcomes(server) == ["cancelled"] * 3, SOON)


def test_an_accepted_connection_is_watched_by_the_kernel() -> None:
    with listening_socket("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == GONE_SECONDS * 1000
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < GONE_SECONDS


def deafen(connection: socket.socket) -> None:
    """Let nothing reach this end any more, not even to be acknowledged, as if a cable were cut."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(nothing))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def memory_of(server: Server) -> int:
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("size", [2 * 1024, 64 * 1024, 256 * 1024])
def test_readers_that_never_read_fifty_megabytes_cost_little(tmp_path: Path, size: int) -> None:
    piece = {"candidates": [{"content": {"parts": [{"text": "x" * size}], "role": "model"}, "index": 0}]}
    last = {"candidates": [{"content": {"parts": [{"text": "."}], "role": "model"}, "finishReason": "STOP"}]}
    with house(tmp_path, GEMINI_API_KEYS=keys(3), FAKE_STREAMING=False) as running:
        gemini, server = running.gemini, running.server
        assert server.chat(stream=True).status_code == 200
        gemini.always(events(*[piece] * (50 * MB // size), last))
        before = memory_of(server)

        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(asking(server, receive_buffer=8192, stream=True)) for _ in range(READERS)]
            for reader in readers:
                assert reader.recv(15) == b"HTTP/1.1 200 OK"
            time.sleep(3)
            growth = memory_of(server) - before
            assert gemini.in_flight == READERS, "nobody was answered whole"

        assert growth < 60 * MB, f"{growth / MB:.0f} MB"
        # Not Google's side: our fake one first says all that it has to say, which takes it long on a busy machine.
        until(lambda: outcomes(server) == ["answered"] + ["cancelled"] * READERS, 10)
