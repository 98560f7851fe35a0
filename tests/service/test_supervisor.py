"""The supervisor by itself, with workers that do nothing: what it does when the machine or a worker fails it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hajimi_site.supervisor import Supervisor, listening_socket

# A worker: says that it listens, and lives until its supervisor is gone. A "stubborn" one hears no SIGTERM.
WORKER = f"""#!{sys.executable}
import signal, socket, sys
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
channel = socket.socket(fileno=int(sys.argv[sys.argv.index("--supervisor") + 1]))
channel.send(b"+")
while channel.recv(1) != b"":
    pass
"""


class Watched:
    """A supervisor that runs here, and the process numbers of its workers."""

    def __init__(self, program: Path, *words: str, count: int = 2, patience_seconds: float = 5.0) -> None:
        self.is_ready = asyncio.Event()
        self._listener = listening_socket("127.0.0.1", 0)
        self._supervisor = Supervisor(
            [str(program), *words],
            count,
            self._listener,
            environment={},
            patience_seconds=patience_seconds,
            on_ready=lambda _: self.is_ready.set(),
        )
        self.run = self._supervisor.run

    @property
    def pids(self) -> set[int]:
        me = os.getpid()
        found = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        return {int(pid) for pid in found if self._is_worker(pid)}

    def _is_worker(self, pid: str) -> bool:
        return b"--supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "worker"
    path.write_text(WORKER)
    path.chmod(0o755)
    return path


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[Watched]:
    """Let it run, and end it as a signal does."""
    task = asyncio.create_task(watched.run())
    try:
        async with asyncio.timeout(30):
            await watched.is_ready.wait()
        yield watched
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_worker_returns_once_the_machine_lets_a_process_start_again(
    program: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = program.with_name("away")
    async with running(Watched(program)) as watched:
        program.rename(away)
        os.kill(min(watched.pids), signal.SIGKILL)
        await until(lambda: "tried again in 2 s" in caplog.text)
        assert len(watched.pids) == 1
        away.rename(program)

        await until(lambda: "serves again" in caplog.text)
        assert len(watched.pids) == 2


async def test_old_processes_go_on_when_no_new_one_can_be_started(
    program: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    away = program.with_name("away")
    async with running(Watched(program)) as watched:
        before = watched.pids
        program.rename(away)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "The new process 1 cannot be started" in caplog.text)
        assert watched.pids == before
        away.rename(program)

        # The next one succeeds.
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "All processes are new" in caplog.text)


async def test_workers_that_do_not_end_in_time_are_killed(program: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(Watched(program, "stubborn", patience_seconds=0.5)) as watched:
        pids = watched.pids
    assert len(pids) == 2
    assert not watched.pids
    assert "2 processes did not end in time; they are killed." in caplog.text
