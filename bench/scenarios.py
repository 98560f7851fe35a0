"""What is measured: hajimi in its processes, under each kind of load, and the rows that come of it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import machine
from bench.load import Shot, Tally, fire
from tests.serving import ROOT, Server

DIRECT = "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse"
KEYS = tuple(f"AIzaSyBenchKeyOfTheCheapUpstream--{number:05}" for number in range(20))
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table. ``most`` is the bar, None where there is none."""

    what: str
    measured: float
    unit: str
    most: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None without one."""
        return None if self.most is None else self.measured <= self.most


@dataclass
class Bench:
    """One server under load. ``rows`` and ``faults`` grow as the scenarios run."""

    server: Server
    upstream_port: int
    rows: list[Row]
    faults: list[str]

    def load(self, shot: Shot, connections: int, each: int, *, direct: bool = False) -> tuple[Tally, float]:
        """Run one load; return its tally and the processor seconds the server spent."""
        port = self.upstream_port if direct else urlsplit(self.server.base_url).port or 80
        before = machine.cpu_seconds(self.server.pid)
        tally = asyncio.run(fire(port, shot, password=self.server.password, connections=connections, each=each))
        # The journal writes behind the answers; its work belongs to them.
        time.sleep(SETTLE_SECONDS)
        self.faults += [f"{shot}: {fault}" for fault in tally.faults[:5]]
        return tally, machine.cpu_seconds(self.server.pid) - before

    def row(self, what: str, measured: float, unit: str, most: float | None = None, note: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(what, measured, unit, most, note))


def run(scale: float, say: Callable[[str], None]) -> tuple[list[Row], list[str]]:
    """Run every scenario; ``scale`` shortens (below 1) or lengthens the loads. Return the rows and the faults."""
    rows: list[Row] = []
    faults: list[str] = []
    with _upstream() as port:
        with _server(port, fake_streaming=False) as server:
            bench = Bench(server, port, rows, faults)
            for scenario in (idle_memory, first_token, whole_answers, paced_streams, memory_after):
                say(scenario.__name__)
                scenario(bench, scale)
        with _server(port, fake_streaming=True) as server:
            say(fake_streams.__name__)
            fake_streams(Bench(server, port, rows, faults), scale)
    return rows, faults


def idle_memory(bench: Bench, scale: float) -> None:
    """Memory after the start, before any request."""
    time.sleep(2)
    bench.row("memory, idle", machine.memory_mb(bench.server.pid), "MB", 120)


def first_token(bench: Bench, scale: float) -> None:
    """Time to the first visible text with nothing else going on, less the time straight to the upstream."""
    each = max(20, int(150 * scale))
    bench.load(Shot(chunks=3), 1, 20)
    through, _ = bench.load(Shot(chunks=3), 1, each)
    straight, _ = bench.load(Shot(DIRECT, chunks=3), 1, each, direct=True)
    added = middle(through.first) - middle(straight.first)
    note = f"{middle(through.first):.2f} ms, straight to the upstream {middle(straight.first):.2f} ms"
    bench.row("time to first token, added", added, "ms", 3, note)


def whole_answers(bench: Bench, scale: float) -> None:
    """Non-streamed chats, 16 at a time."""
    bench.load(Shot(stream=False, chunks=20), 16, 15)
    tally, cpu = bench.load(Shot(stream=False, chunks=20), 16, max(20, int(250 * scale)))
    note = f"{tally.answers / tally.seconds:.0f} requests/s; {_times(tally.whole)}"
    bench.row("processor per non-streamed request, 16 at a time", cpu * 1000 / max(1, tally.answers), "ms", 1.2, note)


def paced_streams(bench: Bench, scale: float) -> None:
    """True streams, 50 at a time, a chunk each 50 ms."""
    tally, cpu = bench.load(Shot(chunks=60, interval=50), 50, max(1, round(3 * scale)))
    note = f"{tally.chunks / tally.seconds:.0f} chunks/s; added to a chunk {_times(tally.added)}"
    bench.row("processor per 100,000 streamed chunks, 50 streams", cpu * 1e5 / max(1, tally.chunks), "s", 12, note)


def memory_after(bench: Bench, scale: float) -> None:
    """Memory once the loads are over."""
    bench.row("memory, after the loads", machine.memory_mb(bench.server.pid), "MB")


def fake_streams(bench: Bench, scale: float) -> None:
    """Streams that are fetched whole first, 50 at a time; the upstream takes half a second."""
    bench.load(Shot(chunks=60, wait=500), 50, 1)
    tally, cpu = bench.load(Shot(chunks=60, wait=500), 50, max(2, round(8 * scale)))
    note = (
        f"{tally.answers / tally.seconds:.0f} requests/s; first text {_times(tally.first)} (500 ms are the upstream's)"
    )
    bench.row("processor per fake-streamed request, 50 at a time", cpu * 1000 / max(1, tally.answers), "ms", None, note)


def middle(values: list[float], share: float = 0.5) -> float:
    """Return the value below which this share of them lies; 0 for none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _times(values: list[float]) -> str:
    return f"p50 {middle(values):.1f} ms, p99 {middle(values, 0.99):.1f} ms"


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.upstream"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextlib.contextmanager
def _server(upstream_port: int, *, fake_streaming: bool) -> Iterator[Server]:
    changes = {
        "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "GEMINI_API_KEYS": KEYS,
        "MAX_REQUESTS_PER_MINUTE": 10**7,
        "MAX_REQUESTS_PER_DAY_PER_IP": 10**7,
        "API_KEY_DAILY_LIMIT": 10**7,
        "FAKE_STREAMING": fake_streaming,
    }
    with tempfile.TemporaryDirectory(prefix="hajimi-bench-") as folder:
        server = Server(Path(folder) / "data", changes).start()
        try:
            yield server
            server.stop()
        finally:
            server.kill()
