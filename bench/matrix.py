"""The long tables: every kind of request on every store and server, many streams, rivals, and how cost grows."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from bench import growth, rivals
from bench.load import WHOLE, Shot
from bench.rivals import NotHere, Rival
from bench.running import DIRECT, DIRECT_WHOLE, Bench, Run, hajimi, middle, times, upstream

POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
REDIS = "redis://127.0.0.1:6379/9"
COUNTS = (1, 50, 200, 500, 1000)

Table = list[list[str]]
Say = Callable[[str], None]
PACED = Shot(chunks=60, interval=50)
KINDS: tuple[tuple[str, Shot, int, int], ...] = (
    ("whole", WHOLE, 16, 100),
    ("true stream", PACED, 50, 2),
    ("native stream", Shot(DIRECT, chunks=60, interval=50), 50, 2),
    ("fake stream", Shot(chunks=60, wait=500), 50, 4),
    ("tools, whole", Shot(stream=False, chunks=20, kind="tools"), 16, 60),
    ("1 MB image, whole", Shot(stream=False, chunks=20, kind="image"), 4, 20),
)


class Matrix:
    """Runs the long tables one by one; ``faults`` gathers what was wrong with answers, ``skipped`` what did not run."""

    def __init__(self, scale: float, say: Say) -> None:
        self.faults: list[str] = []
        self.skipped: list[str] = []
        self._scale = scale
        self._say = say

    def kinds(self) -> Table:
        """Every kind of request, on each database, ledger and server."""
        table = [["", *(kind for kind, *_ in KINDS)]]
        with upstream() as port:
            for name, environment in self._houses():
                self._say(name)
                with self._skipping(name), environment() as variables:
                    table.append([name, *self._kinds_on(port, variables)])
        return table

    def _kinds_on(self, port: int, variables: dict[str, Any]) -> list[str]:
        cells = {}
        for fake in (False, True):
            with hajimi(port, FAKE_STREAMING=fake, **variables) as server:
                bench = self._bench(server.pid, server.base_url, server.password, port)
                bench.load(WHOLE, 8, 10)
                for kind, shot, connections, each in KINDS:
                    if (kind == "fake stream") is fake:
                        cells[kind] = _cost(shot, bench.load(shot, connections, self._times(each)))
        return [cells[kind] for kind, *_ in KINDS]

    def streams(self) -> Table:
        """From one stream to a thousand, each 20 chunks a second."""
        table = [["streams", "processor", "first text p50", "added to a chunk", "memory each", "chunks/s"]]
        with upstream() as port, hajimi(port, FAKE_STREAMING=False) as server:
            bench = self._bench(server.pid, server.base_url, server.password, port)
            bench.load(Shot(chunks=3), 50, 2)
            for count in COUNTS:
                self._say(f"{count} streams")
                run = bench.load(PACED, count, self._times(max(1, min(15, 200 // count))), watch_memory=True)
                table.append(
                    [
                        f"{count}",
                        f"{run.s_per_100k:.2f} s/100k",
                        f"{middle(run.tally.first):.1f} ms",
                        times(run.tally.added),
                        f"{run.kb_per_connection:.0f} KB" if count >= 50 else "",
                        f"{run.tally.chunks / run.tally.seconds:.0f}",
                    ]
                )
        return table

    def peers(self) -> tuple[Table, list[tuple[str, float, float]]]:
        """nginx, other gateways, and hajimi on its servers: (name, ms a request, s per 100k)."""
        figures: list[tuple[str, float, float]] = []
        with upstream() as port:
            for run in (rivals.nginx, rivals.portkey, rivals.litellm):
                self._say(run.__name__)
                with self._skipping(run.__name__), run(port) as rival:
                    figures.append(self._rival(rival, port))
            for server_name in ("daphne", "uvicorn", "granian"):
                name = f"hajimi on {server_name}"
                self._say(name)
                with hajimi(port, FAKE_STREAMING=False, SERVER=server_name) as server:
                    bench = self._bench(server.pid, server.base_url, server.password, port)
                    figures.append((name, *self._both(bench, WHOLE, PACED)))
        floor = next(((whole, paced) for name, whole, paced in figures if name.startswith("nginx")), (0.0, 0.0))
        table = [["", "processor per request", "to nginx", "processor per 100,000 chunks", "to nginx"]]
        for name, whole, paced in figures:
            table.append(
                [
                    name,
                    f"{whole:.3f} ms",
                    _times_as_much(whole, floor[0]),
                    f"{paced:.1f} s",
                    _times_as_much(paced, floor[1]),
                ]
            )
        return table, figures

    def _rival(self, rival: Rival, port: int) -> tuple[str, float, float]:
        whole, paced = WHOLE, PACED
        if rival.dialect == "google":
            whole, paced = Shot(DIRECT_WHOLE, False, 20), Shot(DIRECT, chunks=60, interval=50)
        else:
            whole = Shot(stream=False, chunks=20, headers=rival.headers)
            paced = Shot(chunks=60, interval=50, headers=rival.headers)
        bench = self._bench(rival.pid, f"http://127.0.0.1:{rival.port}", rival.password, port)
        # What others send at a stream's end is theirs; that no piece is missing or doubled is checked all the same.
        bench.ends_with_done = False
        return rival.name, *self._both(bench, whole, paced)

    def _both(self, bench: Bench, whole: Shot, paced: Shot) -> tuple[float, float]:
        bench.load(whole, 8, 10)
        answers = bench.load(whole, 16, self._times(60))
        return answers.ms_per_answer, bench.load(paced, 50, self._times(2)).s_per_100k

    def growth(self) -> Table:
        """What a request costs with more keys, members and log rows."""
        self._say("growth")
        names, sizes = zip(*growth.HOUSES, strict=True)
        costs = growth.side_by_side(sizes, self._times(9), self._times(100), self.faults)
        table = [["", "processor per request", "more than the first", "memory, idle", "start to first answer"]]
        for name, cost in zip(names, costs, strict=True):
            more = "" if cost is costs[0] else f"{cost.more_than(costs[0]):+.0f} %"
            table.append([name, f"{cost.ms:.3f} ms", more, f"{cost.idle_mb:.0f} MB", f"{cost.start_seconds:.1f} s"])
        return table

    def _bench(self, pid: int, base_url: str, password: str, port: int) -> Bench:
        return Bench(pid, base_url, password, port, [], self.faults)

    def _times(self, each: int) -> int:
        return max(1, round(each * self._scale))

    def _houses(self) -> list[tuple[str, Callable[[], contextlib.AbstractContextManager[dict[str, Any]]]]]:
        return [
            ("SQLite, memory, daphne", _plain),
            ("SQLite, memory, uvicorn", lambda: _server("uvicorn")),
            ("SQLite, memory, granian", lambda: _server("granian")),
            ("PostgreSQL, memory, daphne", _postgres),
            ("SQLite, Redis, daphne", _redis),
            ("PostgreSQL, Redis, daphne", _postgres_and_redis),
        ]

    @contextlib.contextmanager
    def _skipping(self, name: str) -> Iterator[None]:
        try:
            yield
        except NotHere as error:
            self.skipped.append(f"{name}: {error}")


@contextlib.contextmanager
def _plain() -> Iterator[dict[str, Any]]:
    yield {}


@contextlib.contextmanager
def _server(name: str) -> Iterator[dict[str, Any]]:
    yield {"SERVER": name}


@contextlib.contextmanager
def _postgres() -> Iterator[dict[str, Any]]:
    import psycopg

    server = os.environ.get("HAJIMI_TEST_POSTGRES_URL") or POSTGRES
    name = f"hajimi_bench_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
    except psycopg.Error as error:
        raise NotHere(f"PostgreSQL does not answer ({type(error).__name__})") from None
    try:
        # The key goes with the database: each house has a DATA_DIR of its own, and would make another.
        yield {"DATABASE_URL": urlsplit(server)._replace(path=f"/{name}").geturl(), "SECRET_KEY": "bench" * 10}
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def _redis() -> Iterator[dict[str, Any]]:
    url = os.environ.get("HAJIMI_BENCH_REDIS_URL") or REDIS
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "127.0.0.1", address.port or 6379), timeout=2).close()
    except OSError:
        raise NotHere("Redis does not answer") from None
    yield {"REDIS_URL": url}


@contextlib.contextmanager
def _postgres_and_redis() -> Iterator[dict[str, Any]]:
    with _postgres() as one, _redis() as other:
        yield {**one, **other}


def _cost(shot: Shot, run: Run) -> str:
    paced = bool(shot.interval)
    return f"{run.s_per_100k:.1f} s/100k" if paced else f"{run.ms_per_answer:.2f} ms"


def _times_as_much(cost: float, floor: float) -> str:
    return f"{cost / floor:.1f}" if floor else ""
