"""What each process of this machine has counted, and all of it together: files in a folder that they share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.api import House
from proxy.journal import Journal
from proxy.live import FIRST_OUTPUT_BOUNDS

WRITE_SECONDS: Final = 1.0
# A file that is older was left by a process that has ended: what it counted stays, what it was doing is over.
ALIVE_SECONDS: Final = 10.0


@dataclass(slots=True)
class Counts:
    """What processes have counted since they started, and what goes on in them now."""

    requests: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    first_outputs: list[int] = field(default_factory=lambda: [0] * (len(FIRST_OUTPUT_BOUNDS) + 1))
    first_output_seconds: float = 0.0
    in_flight: int = 0
    journal_depth: int = 0
    # Entries written, answers that went out before theirs was (late), entries the database took only in part (lost),
    # refusals left out because the line was full (skipped).
    journal: dict[str, int] = field(default_factory=dict)
    upstream_outages: int = 0
    # By process number.
    memory: dict[str, int] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)


def of_process(house: House) -> Counts:
    """Return what this process has counted."""
    live = house.live
    total, pid = live.total, str(os.getpid())
    times = os.times()
    return Counts(
        requests={str(outcome): count for outcome, count in total.requests.items()},
        attempts={str(outcome): count for outcome, count in total.attempts.items()},
        tokens={
            "prompt": total.prompt_tokens,
            "completion": total.completion_tokens,
            "thought": total.thought_tokens,
            "cached": total.cached_tokens,
        },
        refusals=dict(live.refusals_by_code),
        limits=dict(live.refusals_by_limit),
        first_outputs=list(total.first_outputs),
        first_output_seconds=total.first_output_ms / 1000,
        in_flight=len(live.running),
        journal_depth=house.journal.depth,
        journal=_became(house.journal),
        upstream_outages=house.relay.breaker.open,
        memory={pid: _resident_bytes()},
        cpu_seconds={pid: times.user + times.system},
    )


def together(all_counts: Iterable[Counts]) -> Counts:
    """Return the sums."""
    total = Counts()
    for one in all_counts:
        for name in ("requests", "attempts", "tokens", "refusals", "limits", "journal", "memory", "cpu_seconds"):
            setattr(total, name, _added(getattr(total, name), getattr(one, name)))
        total.first_outputs = [a + b for a, b in zip(total.first_outputs, one.first_outputs, strict=True)]
        total.first_output_seconds += one.first_output_seconds
        total.in_flight += one.in_flight
        total.journal_depth += one.journal_depth
        total.upstream_outages += one.upstream_outages
    return total


class SharedCounts:
    """The counts of this process among those of the others; alone without a ``folder``."""

    def __init__(self, house: House, folder: Path | None) -> None:
        self._house = house
        self._folder = folder

    async def keep(self) -> None:
        """Until cancelled: let the others know, each second."""
        while True:
            self.write()
            await asyncio.sleep(WRITE_SECONDS)

    def write(self) -> None:
        """Let the others know. What cannot be written is not worth a failure."""
        if self._folder is not None:
            path = self._folder / f"{os.getpid()}.json"
            with contextlib.suppress(OSError):
                draft = path.with_suffix(".draft")
                draft.write_bytes(orjson.dumps(asdict(of_process(self._house))))
                draft.replace(path)

    def of_machine(self) -> Counts:
        """Return what all processes of this machine have counted, those that have ended too."""
        return together([of_process(self._house), *self._others()])

    def _others(self) -> Iterable[Counts]:
        if self._folder is None:
            return
        for path in self._folder.glob("*.json"):
            if path.stem != str(os.getpid()):
                # One may be unreadable: of another version.
                with contextlib.suppress(OSError, ValueError, TypeError):
                    yield _of_file(path)


def _became(journal: Journal) -> dict[str, int]:
    return {"written": journal.written, "late": journal.late, "lost": journal.lost, "skipped": journal.skipped}


def _added(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}


def _of_file(path: Path) -> Counts:
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    counts = Counts(**found)
    if time.time() - path.stat().st_mtime > ALIVE_SECONDS or not Path(f"/proc/{path.stem}").exists():
        counts.in_flight = counts.journal_depth = 0
        counts.memory, counts.cpu_seconds = {}, {}
    return counts


def _resident_bytes() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
