"""SIGTERM and Ctrl-C while hajimi starts: it stops in words, with 0, and leaves nothing half done."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import ABOUT_SQLITE
from tests.serving import ROOT, Server, environment_for

SERVE = [sys.executable, "manage.py", "serve"]
STOPPED = "hajimi was told to stop while it started, and has stopped."


@contextlib.contextmanager
def starting(folder: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*before, *SERVE],
        cwd=ROOT,
        env=environment_for(folder, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.002)


def hears(pid: int, number: int) -> bool:
    """Tell whether the process handles the signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for its end; return its code and its last line."""
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_the_very_start_ends_it_in_words_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with starting(tmp_path) as process:
        until(lambda: hears(process.pid, signal.SIGTERM) and hears(process.pid, number))
        process.send_signal(number)

        code, last = ended(process)

    assert (code, last[-len(STOPPED) :]) == (0, STOPPED)
    assert not (tmp_path / "hajimi.sqlite3").exists()


@ABOUT_SQLITE
def test_a_signal_during_the_migrations_cuts_none_and_the_next_start_goes_on(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with starting(tmp_path) as process:
        until(lambda: (tmp_path / "hajimi.sqlite3-wal").exists())
        process.send_signal(signal.SIGTERM)

        code, last = ended(process)

    assert (code, last[-len(STOPPED) :]) == (0, STOPPED)
    applied = [row["name"] for row in server.rows("SELECT name FROM django_migrations")]
    assert server.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    try:
        server.start()
        assert len(server.rows("SELECT name FROM django_migrations")) > len(applied)
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_signal_at_any_moment_of_the_start_ends_it_with_0(tmp_path: Path) -> None:
    # Five at once take several seconds on a small machine.
    began, moments = time.monotonic(), (1.0, 2.0, 3.5, 5.0, 6.5)
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(starting(tmp_path / f"{moment:.1f}")) for moment in moments]
        until(lambda: all(hears(process.pid, signal.SIGTERM) for process in processes))
        for moment, process in zip(moments, processes, strict=True):
            time.sleep(max(began + moment - time.monotonic(), 0))
            process.send_signal(signal.SIGTERM)

        assert [ended(process)[0] for process in processes] == [0] * len(moments)


@ABOUT_SQLITE
def test_who_waits_for_another_start_goes_at_once(tmp_path: Path) -> None:
    with (tmp_path / "start.lock").open("w") as other, starting(tmp_path) as process:
        fcntl.flock(other, fcntl.LOCK_EX)
        until(lambda: is_waiting(process.pid))
        process.send_signal(signal.SIGTERM)

        code, last = ended(process)

    assert (code, last[-len(STOPPED) :]) == (0, STOPPED)


def is_waiting(pid: int) -> bool:
    """Tell whether the process waits for a lock of a file."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return str(pid) in {words[5] for words in waiting}


def can_unshare() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="being process 1 of a container takes root")
def test_the_first_process_of_a_container_hears_it_too(tmp_path: Path) -> None:
    with starting(tmp_path, "unshare", "--pid", "--fork", "--kill-child") as outside:
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
        until(lambda: children.read_text() and hears(int(children.read_text()), signal.SIGTERM))
        os.kill(int(children.read_text()), signal.SIGTERM)

        assert ended(outside)[0] == 0
