"""A PostgreSQL server of a test's own, which it may stop and start: failures are tried on no server that others use."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

START_SECONDS = 60


def _programs() -> Path | None:
    """Return the folder of initdb and pg_ctl; Debian keeps them out of PATH."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4].split(".")[0])
    )
    return versions[-1].parent if versions else None


PROGRAMS = _programs()
# Its programs refuse to run as root.
_IS_ROOT = os.geteuid() == 0
CAN_RUN = PROGRAMS is not None and (not _IS_ROOT or shutil.which("runuser") is not None)
NEEDS_OWN_POSTGRES = pytest.mark.skipif(not CAN_RUN, reason="PostgreSQL's server programs are not installed")


class OwnPostgres:
    """One server on a free port. Use it as a context manager; ``stop`` and ``start`` as often as a test likes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hajimi-postgres-"))
        self._data = self._folder / "data"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = int(taken.getsockname()[1])
        self.url = f"postgres://hajimi@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        if _IS_ROOT:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", "hajimi", "--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C")
        return self.start()

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "-D", self._data, "-w", "-t", START_SECONDS, "-l", log, "-o", options)
        return self

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; "immediate" is a crash: it will recover from its log when it starts again."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", self._data, "-m", mode, "-w")

    def signal(self, number: int) -> None:
        """Send a signal to every process of it."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in [main, *map(int, children)]:
            os.kill(pid, number)

    def _run(self, program: str, *words: object) -> None:
        assert PROGRAMS is not None
        prefix = ["runuser", "-u", "postgres", "--"] if _IS_ROOT else []
        subprocess.run(
            [*prefix, str(PROGRAMS / program), *map(str, words)],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "USER": "postgres" if _IS_ROOT else getpass.getuser()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=START_SECONDS + 30,
        )
