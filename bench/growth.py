"""Houses of different sizes: databases with many keys, members and log rows, made before anything is measured."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import WHOLE
from bench.running import Bench, hajimi, upstream
from tests.serving import ROOT, Server, environment_for

FILL = """
import datetime, sys
import django
django.setup()
from django.db import connection, transaction
from django.utils import timezone
from keys import vault
from keys.models import Member
from proxy import request_id
from proxy.models import RequestLog
members, rows = int(sys.argv[1]), int(sys.argv[2])
vault.unlock()
Member.objects.bulk_create(
    [Member(name=f"member-{n}", digest=vault.digest(f"password-of-member-{n}")) for n in range(members)]
)
member = Member.objects.order_by("id").first()
now = timezone.now()
for begin in range(0, rows, 10000):
    RequestLog.objects.bulk_create([
        RequestLog(id=request_id.first(now.timestamp() - n), started_at=now - datetime.timedelta(seconds=n),
            member_id=member.id, address="127.0.0.1", dialect="openai", model="gemini-2.0-flash", stream=True,
            answers=1, outcome="answered", status=200, duration_ms=900, first_output_ms=300, attempt_count=1,
            prompt_tokens=900, completion_tokens=100)
        for n in range(begin, min(rows, begin + 10000))
    ])
"""


@dataclass(frozen=True)
class Sizes:
    """How many of each."""

    keys: int = 20
    members: int = 1
    rows: int = 0


EMPTY, FULL = Sizes(), Sizes(2000, 500, 200_000)
HOUSES: tuple[tuple[str, Sizes], ...] = (
    ("20 keys, 1 member, no log", EMPTY),
    ("2,000 keys", Sizes(keys=2000)),
    ("500 members", Sizes(members=500)),
    ("200,000 log rows", Sizes(rows=200_000)),
    ("all three", FULL),
)


@dataclass(frozen=True)
class Cost:
    """One house under load: processor milliseconds a request in each round, idle megabytes, seconds to an answer."""

    rounds: Sequence[float]
    idle_mb: float
    start_seconds: float

    @property
    def ms(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    def more_than(self, other: Cost) -> float:
        """Return what a request costs more here, in per cent: the middle over the rounds, each with its own pair."""
        return statistics.median(
            (mine / theirs - 1) * 100 for mine, theirs in zip(self.rounds, other.rounds, strict=True)
        )


def side_by_side(houses: Iterable[Sizes], rounds: int, each: int, faults: list[str]) -> list[Cost]:
    """Run all houses at once and load them in turn, there and back: what slows the machine for a while slows all."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream())
        benches, starts = [], []
        for sizes in houses:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hajimi-bench-grown-"))) / "data"
            fill(data_dir, sizes)
            changes = {"FAKE_STREAMING": False, "GEMINI_API_KEYS": keys(sizes.keys)}
            server = stack.enter_context(hajimi(port, data_dir, **changes))
            benches.append(Bench(server.pid, server.base_url, server.password, port, [], faults))
            starts.append(server.seconds_to_answer)
        idle = [bench.memory_mb for bench in benches]
        for bench in benches:
            bench.load(WHOLE, 16, 15)
        measured: list[list[float]] = [[] for _ in benches]
        for number in range(rounds):
            for place in range(len(benches))[:: -1 if number % 2 else 1]:
                measured[place].append(benches[place].load(WHOLE, 16, each).ms_per_answer)
    return [Cost(*one) for one in zip(measured, idle, starts, strict=True)]


def keys(count: int) -> tuple[str, ...]:
    """Return so many well-formed keys."""
    return tuple(f"AIzaSyBenchKeyOfTheCheapUpstream--{number:05}" for number in range(count))


def fill(data_dir: Path, sizes: Sizes) -> None:
    """Make the database of a house. hajimi starts once, so that everything is there that it makes itself."""
    server = Server(data_dir, {"GEMINI_API_KEYS": keys(sizes.keys), "GEMINI_BASE_URL": "http://127.0.0.1:9"}).start()
    server.stop()
    environment = environment_for(data_dir, {}) | {"DJANGO_SETTINGS_MODULE": "hajimi_site.settings"}
    command = [sys.executable, "-c", FILL, str(sizes.members), str(sizes.rows)]
    subprocess.run(command, cwd=ROOT, env=environment | {"PYTHONPATH": os.fspath(ROOT)}, check=True)
