"""Runs tests.service.tiny as a process, and talks to it in plain bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]


class Tiny:
    """One running server. ``lines`` is what it has printed."""

    def __init__(self, folder: Path, **limits: object) -> None:
        environment = {**os.environ, "DATA_DIR": str(folder), "ENV_FILE": os.devnull, "LANGUAGE_CODE": "en"}
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "tests.service.tiny", json.dumps(limits)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self.port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: self.port or self.process.poll() is not None, seconds=60)
        if not self.port:
            self.kill()
            raise AssertionError(self.output)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("ready "):
                self.port = int(line.split()[1])

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def client(self, **options) -> httpx.Client:
        options = {"timeout": 30, "trust_env": False, "verify": False, **options}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", **options)

    def get(self, path: str, **options) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)

    def post(self, path: str, **options) -> httpx.Response:
        with self.client() as client:
            return client.post(path, **options)

    def seen(self) -> list[str]:
        return self.get("/v1/seen").json()["seen"]

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(20)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        return connection

    def talk(self, data: bytes) -> bytes:
        """Send bytes and return everything until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 40) -> int:
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 40) -> int:
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def tiny(folder: Path, **limits: object) -> Iterator[Tiny]:
    server = Tiny(folder, **limits)
    try:
        yield server
    finally:
        server.kill()


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def hang_up(connection: socket.socket) -> None:
    """Close with a reset, as a client that was killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def until(condition: Callable[[], object], *, seconds: float = 15) -> bool:
    """Wait until the condition holds; tell whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
