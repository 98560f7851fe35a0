"""Redis for tests: names of their own on the server of HAJIMI_TEST_REDIS_URL, or a server of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import redis

from hajimi_site.sharing import SCRIPTS
from keys.ledger.line import Line, connect
from keys.ledger.redis import Counted, RedisLedger, mark_of

REDIS_URL = os.environ.get("HAJIMI_TEST_REDIS_URL", "")
ON_REDIS = pytest.mark.skipif(not REDIS_URL, reason="Redis: HAJIMI_TEST_REDIS_URL is not set")
SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
OWN_REDIS = pytest.mark.skipif(not SERVER, reason="Redis: no redis-server or valkey-server is installed")


def fresh_prefix() -> str:
    return f"hajimi_test_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def line_to(url: str, prefix: str) -> AsyncIterator[Line]:
    """Open a line as a process does."""
    line = Line(connect(url), SCRIPTS, marks=[mark_of(prefix)])
    try:
        yield line
    finally:
        await line.aclose()


@asynccontextmanager
async def redis_ledger(counted: list[Counted] | None = None, prefix: str = "") -> AsyncIterator[RedisLedger]:
    """Make a ledger with names of its own, whose database counts ``counted``; nothing of it stays."""
    prefix = prefix or fresh_prefix()

    async def recount() -> list[Counted]:
        return list(counted or ())

    async with line_to(REDIS_URL, prefix) as line:
        try:
            yield RedisLedger(line, prefix, recount)
        finally:
            forget(REDIS_URL, prefix)


def forget(url: str, prefix: str) -> None:
    """Delete everything whose name begins so."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        if names := list(client.scan_iter(f"{prefix}*", count=1000)):
            client.delete(*names)


class OwnRedis:
    """A server of this test's own. It keeps nothing when it is killed, unless ``persists``."""

    def __init__(self, folder: Path, *, persists: bool = False, options: tuple[str, ...] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        saving = ("--save", "", "--appendonly", "yes" if persists else "no", "--appendfsync", "always")
        self.options = (*saving, *options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SERVER is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), *self.options],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stand, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(20)


@contextmanager
def own_redis(folder: Path, **options: bool) -> Iterator[OwnRedis]:
    """Run a server of this test's own."""
    server = OwnRedis(folder, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
