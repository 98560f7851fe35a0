"""Programs under load: hajimi in its processes and the cheap upstream; and what a load cost the program it went to."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import machine
from bench.load import Shot, Tally, fire
from tests.serving import ROOT, Server

DIRECT = "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse"
DIRECT_WHOLE = "/v1beta/models/gemini-2.0-flash:generateContent"
KEYS = tuple(f"AIzaSyBenchKeyOfTheCheapUpstream--{number:05}" for number in range(20))
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table. ``most`` is the bar and ``goal`` what we would like; None where there is none."""

    what: str
    measured: float
    unit: str
    most: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None without one."""
        return None if self.most is None else self.measured <= self.most


@dataclass(frozen=True)
class Run:
    """One load: what came of it, and what it cost. ``peak_mb`` is 0 when memory was not watched."""

    tally: Tally
    cpu_seconds: float
    connections: int
    base_mb: float = 0.0
    peak_mb: float = 0.0

    @property
    def ms_per_answer(self) -> float:
        """Processor milliseconds for each answer."""
        return self.cpu_seconds * 1000 / max(1, self.tally.answers)

    @property
    def s_per_100k(self) -> float:
        """Processor seconds for 100,000 chunks, the streams around them included."""
        return self.cpu_seconds * 1e5 / max(1, self.tally.chunks)

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.tally.answers / max(self.tally.seconds, 1e-9)

    @property
    def kb_per_connection(self) -> float:
        """Kilobytes of memory that each connection added."""
        return max(0.0, self.peak_mb - self.base_mb) * 1024 / self.connections


@dataclass
class Bench:
    """One program under load. ``rows`` and ``faults`` grow as the scenarios run."""

    pid: int
    base_url: str
    password: str
    upstream_port: int
    rows: list[Row]
    faults: list[str]
    ends_with_done: bool = True

    def load(self, shot: Shot, connections: int, each: int, *, direct: bool = False, watch_memory: bool = False) -> Run:
        """Run one load and return what came of it; ``direct`` goes straight to the upstream."""
        port = self.upstream_port if direct else urlsplit(self.base_url).port or 80
        watch = _Watch(self.pid) if watch_memory else None
        base = machine.memory_mb(self.pid)
        before = machine.cpu_seconds(self.pid)
        tally = asyncio.run(
            fire(
                port,
                shot,
                password=self.password,
                connections=connections,
                each=each,
                ends_with_done=self.ends_with_done,
            )
        )
        # The journal writes behind the answers; its work belongs to them.
        time.sleep(SETTLE_SECONDS)
        cpu = machine.cpu_seconds(self.pid) - before
        self.faults += [f"{shot.path} {shot.kind}, {connections} connections: {fault}" for fault in tally.faults[:5]]
        return Run(tally, cpu, connections, base, watch.stop() if watch else 0.0)

    @property
    def memory_mb(self) -> float:
        """Resident memory now."""
        return machine.memory_mb(self.pid)

    def row(
        self,
        what: str,
        measured: float,
        unit: str,
        most: float | None = None,
        *,
        goal: float | None = None,
        note: str = "",
    ) -> None:
        """Add a row."""
        self.rows.append(Row(what, measured, unit, most, goal, note))


class _Watch:
    """Looks at a process's memory now and then, and keeps the most it saw."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.2):
            self._peak = max(self._peak, machine.memory_mb(self._pid))

    def stop(self) -> float:
        """End, and return the most."""
        self._ended.set()
        self._thread.join()
        return self._peak


def middle(values: list[float], share: float = 0.5) -> float:
    """Return the value below which this share of them lies; 0 for none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def times(values: list[float]) -> str:
    """Return the middle and the slow end of some milliseconds."""
    return f"p50 {middle(values):.1f} ms, p99 {middle(values, 0.99):.1f} ms"


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Run the cheap Gemini; give its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.upstream"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


class MeasuredServer(Server):
    """hajimi, and how long it took from nothing to its first answer."""

    seconds_to_answer = 0.0


@contextlib.contextmanager
def hajimi(upstream_port: int, data_dir: Path | None = None, **environment: Any) -> Iterator[MeasuredServer]:
    """Run hajimi in front of the upstream, with limits out of the way; ``data_dir`` may hold a database already."""
    changes = {
        "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "GEMINI_API_KEYS": KEYS,
        "MAX_REQUESTS_PER_MINUTE": 10**7,
        "MAX_REQUESTS_PER_DAY_PER_IP": 10**7,
        "API_KEY_DAILY_LIMIT": 10**7,
        **environment,
    }
    with tempfile.TemporaryDirectory(prefix="hajimi-bench-") as folder:
        server = MeasuredServer(data_dir or Path(folder) / "data", changes)
        if data_dir is None:
            # The first start makes the database; what people wait for is every start after that.
            server.start()
            server.stop()
        began = time.monotonic()
        server.start()
        try:
            assert server.chat("chunks=1 interval=0 wait=0", model="gemini-2.0-flash").status_code == 200
            server.seconds_to_answer = time.monotonic() - began
            yield server
            server.stop()
        finally:
            server.kill()
