"""Clients that do not read: bounded memory, noticed when they go, dropped when they stay."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.service.tiny_process import hang_up, read_all, read_until, tiny, until

MB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory):
    with tiny(tmp_path_factory.mktemp("data"), stall_seconds=1.5) as running:
        yield running


def memory(server) -> int:
    return server.get("/v1/seen").json()["rss"]


def stall(server, path: str):
    """Ask and read only the beginning."""
    connection = server.connect(receive_buffer=8192)
    connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    read_until(connection, b"\r\n\r\n")
    return connection


def test_twenty_stalled_readers_of_fifty_megabytes_do_not_grow_memory(server):
    before = memory(server)

    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(stall(server, "/v1/firehose?mb=50"))
        time.sleep(2)
        growth = memory(server) - before

    assert growth < 60 * MB


def test_a_slow_reader_gets_everything(server):
    with stall(server, "/v1/firehose?mb=4") as connection:
        time.sleep(0.5)
        data = read_all(connection)

    assert data.count(b"x") >= 4 * MB - 65536
    assert data.endswith(b"0\r\n\r\n")


def test_a_large_whole_answer_arrives_whole(server):
    assert server.get("/v1/large?mb=24").content == b"y" * (24 * MB)


@pytest.mark.parametrize("path", ["/v1/firehose?mb=50", "/v1/large?mb=24"])
def test_a_stalled_reader_that_goes_is_noticed(server, path):
    connection = stall(server, path)
    time.sleep(0.3)
    marks = server.seen().count("firehose cleaned up")

    hang_up(connection)

    assert until(lambda: f"GET {path.partition('?')[0]} 200" in server.output, seconds=5)
    if "firehose" in path:
        assert until(lambda: server.seen().count("firehose cleaned up") > marks, seconds=5)


@pytest.mark.parametrize("path", ["/v1/firehose?mb=50", "/v1/large?mb=24", "/raw-events?3000"])
def test_a_reader_that_stays_stalled_is_dropped(strict_server, path):
    with stall(strict_server, path) as connection:
        time.sleep(4.5)
        data = read_all(connection)

    assert not data.endswith(b"0\r\n\r\n") or path.startswith("/raw")


def test_a_reader_that_reads_now_and_then_is_not_dropped(strict_server):
    with stall(strict_server, "/v1/firehose?mb=3") as connection:
        size = 0
        while piece := connection.recv(400_000):
            size += len(piece)
            time.sleep(0.03)

    assert size > 2.9 * MB


def test_nothing_is_left_behind(server):
    assert until(lambda: server.seen().count("firehose cleaned up") >= 22)
    assert "Traceback" not in server.output
    assert "was destroyed" not in server.output
