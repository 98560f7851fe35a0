"""What the machine says: its name, and how much processor time and memory a process tree has used (Linux only)."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

# The share of all processors from which figures suffer when it goes to others.
BUSY = 0.1


def tree(pid: int) -> list[int]:
    """Return a process and all that it started."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    return [pid, *(member for child in children for member in tree(child))]


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def cpu_seconds(pid: int) -> float:
    """Return the processor time (user and system) of the process tree so far."""
    return sum(time.clock_gettime(_clock(member)) for member in tree(pid))


def _clock(pid: int) -> int:
    """Return the number of a process's own clock, as clock_getcpuclockid(3) makes it.

    It counts nanoseconds; /proc/PID/stat has hundredths of a second, and a short load of nginx takes two of them.
    """
    return ~pid << 3 | 2


def memory_mb(pid: int) -> float:
    """Return the resident memory of the process tree in megabytes (2^20 bytes)."""
    return sum(_resident(member) for member in tree(pid)) / 1024


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def describe() -> str:
    """Return the processor, how many of it, and the Python, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


@dataclass(frozen=True)
class Spent:
    """Seconds so far: of the clock; of the processors for all programs, for us and what has ended of what we started,
    and for others that the host of a virtual machine runs."""

    clock: float
    programs: float
    ours: float
    stolen: float

    @classmethod
    def now(cls) -> Spent:
        """Look."""
        # user, nice, system, idle, iowait, irq, softirq, steal: proc(5).
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        hertz = os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), sum(ticks[:3]) / hertz, sum(os.times()[:4]), ticks[7] / hertz)


def shared(began: Spent, now: Spent, cores: int) -> str:
    """Return how much of the processors went to others between two moments, as a warning; "" when it hardly matters."""
    whole = max(now.clock - began.clock, 1e-9) * cores
    others = now.programs - began.programs - (now.ours - began.ours)
    shares = [(others / whole, "other programs"), ((now.stolen - began.stolen) / whole, "the host of this machine")]
    took = " and ".join(f"{share:.0%} of it went to {who}" for share, who in shares if share > BUSY)
    return f"**The processor was shared: {took}.**" if took else ""
