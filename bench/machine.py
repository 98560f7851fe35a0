"""What the machine says: its name, and how much processor time and memory a process tree has used (Linux only)."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

# Load average per core from which figures suffer; measuring alone comes to about half of it.
BUSY = 0.75


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


def busy() -> str:
    """Return a warning when other programs keep the machine busy, or ""."""
    load = os.getloadavg()[0]
    if load < BUSY * (os.cpu_count() or 1):
        return ""
    return f"**The machine was busy (load average {load:.1f}): times and processor figures are too high.**"
