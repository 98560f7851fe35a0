"""Everything at once that can go wrong, and not one answer, row or count is: python -m tests.chaos [--short].

Thousands of chats, streamed and whole, from many clients, some of whom hang up. Google fails in every way it can and is
away altogether for a while; the process is killed, PostgreSQL and Redis crash. In the end what the clients were told,
what Google was asked and what the log says must agree to the last request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import httpx

from proxy import request_id
from tests.chaos_account import CHECKS, Evidence, Span, Told
from tests.gemini import (
    Call,
    FakeGemini,
    answer,
    babble,
    bomb,
    empty,
    end,
    error,
    garbage,
    hang,
    html,
    huge_line,
    interim,
    malformed,
    redirect,
    reset,
)
from tests.gemini.replies import Reply, reply_of
from tests.own_postgres import CAN_RUN, OwnPostgres
from tests.points import Points
from tests.service.houses import keys
from tests.serving import Server, chat

KEYS = keys(24)
DEAD_KEY, TIRED_KEY = KEYS[0], KEYS[1]
PROMPT = re.compile(r"chaos-\d+")
# For each process.
FLAT_BYTES = 40 * 2**20

FAULTS: tuple[Any, ...] = (
    *(500, 503, 504, error("internal", array=True)),
    *(reset(), reset(0), reset(2), end(0), end(2), hang(1), hang()),
    *(garbage(), garbage(b"[]"), html(200), html(502), malformed(0), malformed(2), babble(), redirect("http://x/")),
    *(bomb(20), huge_line(2**20, 1), empty(), empty("OTHER")),
)
# These are odd, but answers.
ODD: tuple[dict[str, Any], ...] = ({"drip": 9}, {"fault": interim()}, {"before": 0.5}, {"delay": 0.05}, {"chunks": 1})


class Chaos(FakeGemini):
    """A Gemini whose every answer is one of a kind, and that fails as often as ``fault_share`` says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.fault_share = 0.3
        self.is_out = False
        self.said: dict[str, list[str]] = defaultdict(list)
        self.asked: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._count = 0
        self._counting = threading.Lock()

    def next_reply(self, call: Call) -> Reply:
        """Take the reply to a call, and remember what it says to which prompt."""
        found = PROMPT.search(str(call.body))
        prompt = found[0] if found else ""
        with self._counting:
            self.asked[prompt] += 1
            self._count += 1
            text = f"{prompt} gets answer {self._count} " + "word " * self._dice.randint(1, 12) + "end"
            return self._reply(call.key, prompt, text)

    def _reply(self, key: str, prompt: str, text: str) -> Reply:
        if self.is_out:
            return reply_of(reset())
        if key == DEAD_KEY:
            return error("suspended")
        if key == TIRED_KEY:
            return error("per_day")
        self.said[prompt].append(text)
        odd = self._dice.choice(ODD) if self._dice.random() < 0.2 else {}
        if self._dice.random() >= self.fault_share:
            return answer(text, **odd)
        fault = reply_of(self._dice.choice(FAULTS))
        # A fault inside an answer needs an answer of ours around it.
        inside = getattr(fault, "fault", None)
        return answer(text, fault=inside) if inside is not None else fault


class Crowd:
    """Many clients that ask one question after the other, until ``count`` are asked."""

    def __init__(self, server: Server, count: int, at_once: int, seed: int) -> None:
        self.told: list[Told] = []
        self._server = server
        self._numbers = iter(range(count))
        self._count = count
        self._at_once = at_once
        self._dice = random.Random(seed)

    @property
    def progress(self) -> float:
        """How much of it is done, from 0 to 1."""
        return len(self.told) / self._count

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with self._server.async_client(timeout=60, limits=limits) as client:
            await asyncio.gather(*(self._visit(client) for _ in range(self._at_once)))

    async def _visit(self, client: httpx.AsyncClient) -> None:
        for number in self._numbers:
            told = Told(f"chaos-{number}", stream=self._dice.random() < 0.6, began=time.monotonic())
            # Nobody is there while the server starts again: not asked yet.
            while not await self._ask(client, told):
                await asyncio.sleep(0.1)
                told.began = time.monotonic()
            told.ended = time.monotonic()
            self.told.append(told)
            if told.code == "upstream_out":
                # As a person would, who reads that sentence.
                await asyncio.sleep(0.5)

    async def _ask(self, client: httpx.AsyncClient, told: Told) -> bool:
        patience = self._dice.uniform(0.0, 0.6) if self._dice.random() < 0.1 else None
        try:
            async with asyncio.timeout(patience):
                await (self._streamed if told.stream else self._whole)(client, told)
        except TimeoutError:
            told.hung_up = True
        except httpx.ConnectError:
            return False
        except httpx.TransportError as error:
            told.broken = type(error).__name__
        return True

    async def _whole(self, client: httpx.AsyncClient, told: Told) -> None:
        response = await client.post("/v1/chat/completions", json=chat(told.prompt))
        _note(told, response)
        document = response.json()
        if response.status_code == 200:
            [choice] = document["choices"]
            told.text, told.finish = choice["message"]["content"], choice["finish_reason"]
            told.usage = document["usage"]
        else:
            told.code = document["error"]["code"]
        told.is_whole = True

    async def _streamed(self, client: httpx.AsyncClient, told: Told) -> None:
        body = chat(told.prompt, stream=True, stream_options={"include_usage": True})
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            _note(told, response)
            if response.status_code != 200:
                told.code = json.loads(await response.aread())["error"]["code"]
                told.is_whole = True
                return
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    told.is_whole = True
                elif line.startswith("data: "):
                    _note_event(told, json.loads(line[6:]))


def _note(told: Told, response: httpx.Response) -> None:
    told.status = response.status_code
    told.id = request_id.parse(response.headers["x-request-id"])


def _note_event(told: Told, event: dict[str, Any]) -> None:
    if "error" in event:
        told.code = event["error"]["code"]
    for choice in event.get("choices", []):
        told.text += choice["delta"].get("content") or ""
        told.finish = choice["finish_reason"] or told.finish
    told.usage = event.get("usage") or told.usage


@dataclass
class Blows:
    """What hits the house, and when the process was down."""

    server: Server
    gemini: Chaos
    crowd: Crowd
    accidents: list[Callable[[], None]]
    dark: list[Span] = field(default_factory=list)

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


def collect(crowd: Crowd, gemini: Chaos, blows: Blows, server: Server) -> Evidence:
    """Ask all parties."""
    return Evidence(
        told=crowd.told,
        said=gemini.said,
        asked=gemini.asked,
        dark=blows.dark,
        logs=server.rows("SELECT * FROM proxy_requestlog"),
        attempts=server.rows("SELECT * FROM proxy_attempt"),
        usage=server.rows("SELECT * FROM keys_usage"),
        keys=server.rows("SELECT * FROM keys_key"),
        parks=server.rows("SELECT * FROM keys_park"),
        dead=frozenset({DEAD_KEY[-4:]}),
        tired=frozenset({TIRED_KEY[-4:]}),
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def house(folder: Path, gemini: Chaos, **environment: object) -> Iterator[Server]:
    choices = {
        "GEMINI_BASE_URL": gemini.url,
        "GEMINI_API_KEYS": KEYS,
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
    name: str, count: int, at_once: int, points: Points, prepare: Callable[[Blows], None], **settings: Any
) -> None:
    """Let one storm pass over one house, and hear the evidence."""
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
        evidence = collect(crowd, gemini, blows, server)
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
    def prepare(blows: Blows) -> None:
        blows.accidents = [blows.kill, blows.outage, *([] if short else [blows.kill, blows.kill])]

    play("SQLite", *((450, 60) if short else (4000, 200)), points, prepare)


def on_postgres(points: Points, *, short: bool) -> None:
    if not CAN_RUN:
        print("SKIPPED PostgreSQL: its server programs are not installed")
        return
    with OwnPostgres() as postgres:

        def crash() -> None:
            postgres.stop()
            time.sleep(1)
            postgres.start()

        def prepare(blows: Blows) -> None:
            def kill_while_away() -> None:
                postgres.stop()
                blows.server.kill()
                began = time.monotonic()
                postgres.start()
                blows.server.start(seconds=60)
                blows.dark.append((began, time.monotonic()))

            blows.accidents = [crash, blows.kill, *([] if short else [blows.outage, crash, blows.kill, crash])]

        play("PostgreSQL", *((400, 40) if short else (3000, 80)), points, prepare, DATABASE_URL=postgres.url)


def on_many(points: Points, *, short: bool) -> None:
    """Three processes, with a PostgreSQL and a Redis that crash."""
    # Here, because it needs Django's models.
    from tests.redises import SERVER, own_redis

    if not CAN_RUN or not SERVER:
        print("SKIPPED many processes: PostgreSQL's or Redis's server programs are not installed")
        return
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(OwnPostgres())
        redis = stack.enter_context(own_redis(Path(stack.enter_context(tempfile.TemporaryDirectory()))))

        def crash_redis() -> None:
            redis.kill()
            time.sleep(1)
            redis.start()

        def crash_postgres() -> None:
            postgres.stop()
            time.sleep(1)
            postgres.start()

        def prepare(blows: Blows) -> None:
            once = [blows.kill_worker, crash_redis]
            blows.accidents = once if short else [*once, crash_postgres, blows.kill_worker, blows.outage, *once]

        settings = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "WORKERS": 2 if short else 3}
        play("Many processes", *((300, 40) if short else (3000, 80)), points, prepare, **settings)


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
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
