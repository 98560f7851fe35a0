"""Everything at once that can go wrong, and not one answer, row or count is: python -m tests.chaos [--short].

Thousands of chats, streamed and whole, from many clients, some of whom hang up. Google fails in every way it can and is
away altogether for a while; the process is killed, PostgreSQL and Redis crash. In the end what the clients were told,
what Google was asked and what the log says must agree to the last request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

from tests.chaos_account import CHECKS, HONEST, Evidence, Span, Told
from tests.chaos_crowd import Crowd
from tests.chaos_gemini import DEAD_KEY, KEYS, TIRED_KEY, Chaos, free_port
from tests.gemini import FakeGemini
from tests.own_postgres import CAN_RUN, OwnPostgres
from tests.points import Points
from tests.serving import Server

if TYPE_CHECKING:
    from tests.redises import OwnRedis

# For each process.
FLAT_BYTES = 40 * 2**20
# Keys of Vertex AI, which no house here ever reaches: each in a way of its own.
LOST_KEYS = tuple(f"AQ.Ab8FakeExpressKeyOfTheSimulator-------{number:02}" for number in range(1, 4))


@dataclass
class Blows:
    """What hits the house, and when the process was down."""

    server: Server
    gemini: Chaos
    crowd: Crowd
    accidents: list[Callable[[], None]]
    dark: list[Span] = field(default_factory=list)
    deaf: list[Span] = field(default_factory=list)

    async def run(self) -> None:
        """Deal the blows over the first two thirds of the run."""
        for number, accident in enumerate(self.accidents):
            due = (number + 1) / (len(self.accidents) + 1) * 2 / 3
            while self.crowd.progress < due:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(accident)

    def kill(self) -> None:
        """Kill the process, and start it again."""
        began = time.monotonic()
        self.server.kill()
        self.server.start(seconds=60)
        self.dark.append((began, time.monotonic()))

    def kill_worker(self) -> None:
        """Kill one worker of many; the supervisor starts another."""
        began = time.monotonic()
        victim, *_ = processes_of(self.server)
        os.kill(victim, signal.SIGKILL)
        time.sleep(1)
        self.dark.append((began, time.monotonic()))

    def outage(self) -> None:
        """Let Google be away for all."""
        self.gemini.is_out = True
        time.sleep(3)
        self.gemini.is_out = False

    def refuse(self) -> None:
        """Let nobody listen at Google's address: running answers are cut, and every connection is refused."""
        began = time.monotonic()
        self.gemini.stop()
        time.sleep(2)
        self.gemini.start()
        self.deaf.append((began, time.monotonic()))

    def roll(self) -> None:
        """Replace every process by SIGHUP; no request may notice."""
        rolled = self.server.output.count("All processes are new")
        self.server.signal(signal.SIGHUP)
        limit = time.monotonic() + 60
        while self.server.output.count("All processes are new") == rolled:
            assert time.monotonic() < limit, "the processes were not replaced"
            time.sleep(0.1)


def processes_of(server: Server) -> list[int]:
    """Return the processes that serve: the server's own, or those of its workers."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(pid) for pid in children] or [server.pid]


def memory_of(server: Server) -> int:
    """Return what all of them use."""
    total = 0
    for pid in processes_of(server):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    return total


async def watch_memory(server: Server, crowd: Crowd, seen: list[int]) -> None:
    """Look at the memory once the last blow has fallen, and at the end."""
    while crowd.progress < 0.75:
        await asyncio.sleep(0.1)
    # A worker that was killed has somebody in its place by then.
    await asyncio.sleep(3)
    seen.append(memory_of(server))
    while crowd.progress < 1:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    seen.append(memory_of(server))


def collect(crowd: Crowd, gemini: Chaos, blows: Blows, server: Server, rules: dict[str, Any]) -> Evidence:
    """Ask all parties. ``rules`` are those of this house: fields of Evidence."""
    return Evidence(
        told=crowd.told,
        said=gemini.said,
        asked=gemini.asked,
        dark=blows.dark,
        deaf=blows.deaf,
        logs=server.rows("SELECT * FROM proxy_requestlog"),
        attempts=server.rows("SELECT * FROM proxy_attempt"),
        usage=server.rows("SELECT * FROM keys_usage"),
        keys=server.rows("SELECT * FROM keys_key"),
        parks=server.rows("SELECT * FROM keys_park"),
        dead=frozenset({DEAD_KEY[-4:]}),
        tired=frozenset({TIRED_KEY[-4:]}),
        **rules,
    )


@contextlib.contextmanager
def house(folder: Path, gemini: Chaos, **environment: object) -> Iterator[Server]:
    choices = {
        "GEMINI_BASE_URL": gemini.url,
        "GEMINI_API_KEYS": KEYS,
        "ENABLE_VERTEX": True,
        "VERTEX_EXPRESS_API_KEY": LOST_KEYS,
        # Every connection is refused.
        "VERTEX_BASE_URL": f"http://127.0.0.1:{free_port()}",
        "PORT": free_port(),
        "FAKE_STREAMING": False,
        "RANDOM_STRING": False,
        "MAX_ATTEMPTS": 6,
        "HEADERS_HOLD_SECONDS": 3,
        "UPSTREAM_TIMEOUT_SECONDS": 6,
        "HEARTBEAT_SECONDS": 0.5,
    }
    server = Server(folder, choices | environment).start(seconds=60)
    try:
        yield server
    finally:
        server.kill()


async def storm(crowd: Crowd, blows: Blows, server: Server, memory: list[int]) -> None:
    await asyncio.gather(crowd.run(), blows.run(), watch_memory(server, crowd, memory))


def play(
    name: str,
    size: tuple[int, int],
    points: Points,
    prepare: Callable[[Blows], None],
    rules: dict[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Let one storm pass over one house, and hear the evidence. ``size``: how many requests, how many at a time."""
    count, at_once = size
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hajimi-chaos-")))
        gemini = stack.enter_context(Chaos(seed=count))
        server = stack.enter_context(house(folder, gemini, **settings))
        crowd = Crowd(server, count, at_once, seed=at_once)
        blows = Blows(server, gemini, crowd, [])
        prepare(blows)
        memory: list[int] = []
        failed = points.failed
        with points.point(f"{name}: {count} requests, {at_once} at a time, {len(blows.accidents)} blows"):
            asyncio.run(storm(crowd, blows, server, memory))
        if points.failed > failed:
            print(server.output[-6000:])
            return
        print("        clients:", ", ".join(f"{what} {n}" for what, n in sorted(_sums(crowd.told).items())))
        look_at_the_end(points, gemini, server, memory)
        evidence = collect(crowd, gemini, blows, server, rules or {})
        for check in CHECKS:
            with points.point(f"{name}: {check.__name__.replace('_', ' ')}"):
                check(evidence)


def look_at_the_end(points: Points, gemini: Chaos, server: Server, memory: list[int]) -> None:
    with points.point("no call to Google outlives its client"):
        gemini.wait_until(lambda: gemini.in_flight == 0, 15)
    with points.point(f"memory is flat ({' -> '.join(f'{one / 2**20:.0f} MB' for one in memory)})"):
        assert memory[1] - memory[0] < FLAT_BYTES * len(processes_of(server))
    with points.point("it ends in order"):
        assert server.stop(seconds=60) == 0
        assert "Traceback" not in server.output, server.output[server.output.index("Traceback") - 500 :][:3000]


def _sums(told: list[Told]) -> Counter[str]:
    return Counter(
        "hung up" if one.hung_up else "broken" if one.broken else one.code or f"status {one.status}" for one in told
    )


def on_sqlite(points: Points, *, short: bool) -> None:
    """One process; its member has a limit, which the kills must not make it forget; no name server knows Vertex AI."""
    limit = 190 if short else 2000

    def prepare(blows: Blows) -> None:
        limit_member(blows.server, requests_per_day=limit, parallel_requests=250)
        # The outage first: who has reached a limit asks Google nothing.
        blows.accidents = [blows.outage, blows.kill, *([] if short else [blows.kill, blows.refuse, blows.kill])]

    rules = {"day_limit": limit, "honest": HONEST | {"rate_limit_exceeded"}}
    size = (450, 60) if short else (4000, 200)
    play("SQLite", size, points, prepare, rules, VERTEX_BASE_URL="http://vertex.invalid")


def limit_member(server: Server, **limits: int) -> None:
    """Give the one member limits of its own, as another process would."""
    names = ", ".join(f"{name} = ?" for name in limits)
    server.write(
        (f"UPDATE keys_member SET {names}", tuple(limits.values())),
        ("UPDATE proxy_revision SET number = number + 1", ()),
    )
    # Processes look every second.
    time.sleep(2)


def on_postgres(points: Points, *, short: bool) -> None:
    """One process that races attempts, and a database that crashes; Vertex AI speaks no TLS."""
    if not CAN_RUN:
        print("SKIPPED PostgreSQL: its server programs are not installed")
        return
    with OwnPostgres() as postgres:

        def prepare(blows: Blows) -> None:
            def crash() -> None:
                crash_postgres(postgres)

            blows.accidents = [crash, blows.kill, blows.refuse]
            if not short:
                blows.accidents += [blows.outage, crash, blows.kill, crash]

        racing = {"CONCURRENT_REQUESTS": 2, "INCREASE_CONCURRENT_ON_FAILURE": 1, "MAX_CONCURRENT_REQUESTS": 3}
        settings = {"DATABASE_URL": postgres.url, **racing}
        with FakeGemini() as plain:
            no_tls = plain.url.replace("http:", "https:")
            play("PostgreSQL", (400, 40) if short else (3000, 80), points, prepare, VERTEX_BASE_URL=no_tls, **settings)


def crash_postgres(postgres: OwnPostgres) -> None:
    postgres.stop()
    time.sleep(1)
    postgres.start()


def crash_redis(redis: OwnRedis, seconds: float = 1.0) -> None:
    redis.kill()
    time.sleep(seconds)
    redis.start()


def on_many(points: Points, *, short: bool) -> None:
    """Several processes that are replaced, with a PostgreSQL and a Redis that crash."""
    # Here, because it needs Django's models.
    from tests.redises import SERVER, own_redis

    if not CAN_RUN or not SERVER:
        print("SKIPPED many processes: PostgreSQL's or Redis's server programs are not installed")
        return
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(OwnPostgres())
        redis = stack.enter_context(own_redis(Path(stack.enter_context(tempfile.TemporaryDirectory()))))

        def prepare(blows: Blows) -> None:
            once = [blows.kill_worker, lambda: crash_redis(redis), blows.roll]
            more = [lambda: crash_postgres(postgres), blows.kill_worker, blows.outage, blows.refuse, *once]
            blows.accidents = once if short else [*once, *more]

        settings = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "WORKERS": 2 if short else 3}
        play("Many processes", (300, 40) if short else (3000, 80), points, prepare, **settings)


def on_their_own(points: Points, *, short: bool) -> None:
    """Two processes that go on alone while Redis is away, and that collect every stream before they pass it on."""
    from tests.redises import SERVER, own_redis

    if not SERVER:
        print("SKIPPED alone: Redis's server programs are not installed")
        return
    with tempfile.TemporaryDirectory() as folder, own_redis(Path(folder)) as redis:

        def prepare(blows: Blows) -> None:
            def crash() -> None:
                crash_redis(redis, 3.0)
                assert "each process counts limits by itself" in blows.server.output

            blows.accidents = [crash] if short else [crash, blows.kill_worker, blows.roll, crash, blows.refuse]

        settings = {"REDIS_URL": redis.url, "REDIS_AWAY": "alone", "WORKERS": 2, "FAKE_STREAMING": True}
        # That is the point of it: nobody is told to come again when Redis is back.
        rules = {"honest": HONEST - {"not_ready"}}
        play("Alone", (200, 40) if short else (2000, 80), points, prepare, rules, **settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="a minute of it, for every push")
    short = parser.parse_args().short
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
    django.setup()
    # The simulator's own words about clients that hang up.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    points = Points()
    on_sqlite(points, short=short)
    on_postgres(points, short=short)
    on_many(points, short=short)
    on_their_own(points, short=short)
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
