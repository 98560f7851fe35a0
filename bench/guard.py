"""`make guard`: fails when a request or a chunk takes far more instructions than it did.

Instructions are counted by valgrind, so other programs on the machine do not matter; and they are measured in loops of
plain Python counted in the same run, so neither the processor nor the version of Python matters much.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import WHOLE, Shot, fire
from bench.running import KEYS, upstream
from tests.serving import PASSWORD, READY, ROOT, environment_for

# Loops of the yardstick that may be spent on each: about two and a half times what was counted on 2026-11-24 (1,400,
# 2,300 and 46), because Pythons differ in how much of their work is the loop's.
MOST = {"a non-streamed request": 3_500.0, "a stream without its chunks": 5_500.0, "a streamed chunk": 110.0}
LOOP = "d = {}\nfor i in range(%d):\n    d[i & 1023] = i + len(d)\n"
TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
# valgrind's control finds its process by these.
NAMES = {"USER": "hajimi", "LOGNAME": "hajimi", "HOST": "127.0.0.1", "HOSTNAME": "guard"}


def main() -> int:
    """Count, print, and say by the exit code whether all is within its band."""
    if shutil.which("valgrind") is None:
        print("SKIPPED guard: valgrind is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="hajimi-guard-") as folder:
        loop = _yardstick(Path(folder))
        counted = _counted(Path(folder))
    for what, instructions in counted.items():
        loops, most = instructions / loop, MOST[what]
        verdict = "within" if loops <= most else "OVER"
        print(f"{what}: {instructions:,.0f} instructions, {loops:,.0f} loops of plain Python, {verdict} {most:,.0f}")
    return 0 if all(instructions / loop <= MOST[what] for what, instructions in counted.items()) else 1


def _yardstick(folder: Path) -> float:
    """Return the instructions of one loop of plain Python."""
    counts = []
    for loops in (50_000, 150_000):
        out = folder / f"yardstick.{loops}"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, "-c", LOOP % loops]
        subprocess.run(command, check=True, capture_output=True)
        counts.append(_total(out))
    return (counts[1] - counts[0]) / 100_000


def _counted(folder: Path) -> dict[str, float]:
    with upstream() as port, Counted(folder, port) as server:
        server.load(Shot(chunks=5), 8, 10)
        server.load(WHOLE, 8, 10)
        short = server.count(Shot(chunks=6, interval=2250), 25, 1)
        # As long as the other, so that what goes on in the background cancels out.
        long = server.count(Shot(chunks=46, interval=250), 25, 1)
        chunk = (long - short) / (25 * 40)
        return {
            "a non-streamed request": server.count(WHOLE, 4, 15) / 60,
            "a stream without its chunks": short / 25 - 6 * chunk,
            "a streamed chunk": chunk,
        }


class Counted:
    """hajimi under callgrind."""

    def __init__(self, folder: Path, upstream_port: int) -> None:
        self._out = folder / "hajimi"
        changes = {
            "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
            "GEMINI_API_KEYS": KEYS,
            "FAKE_STREAMING": False,
        }
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._out}"]
        self._environment = {**environment_for(folder / "data", changes), **NAMES, "PYTHONHASHSEED": "1"}
        self._process = subprocess.Popen(
            [*command, sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Counted:
        assert self._process.stdout is not None
        found = next(filter(None, map(READY.match, self._process.stdout)), None)
        assert found, "hajimi did not start"
        self._port = urlsplit(found[1]).port or 80
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def load(self, shot: Shot, connections: int, each: int) -> None:
        """Run a load; every answer must be right."""
        tally = asyncio.run(fire(self._port, shot, password=PASSWORD, connections=connections, each=each))
        assert not tally.faults, tally.faults[:3]
        time.sleep(1)

    def count(self, shot: Shot, connections: int, each: int) -> float:
        """Return the instructions that a load took."""
        before = set(self._out.parent.glob("hajimi.*"))
        self._tell("-i=on")
        self._tell("-z")
        self.load(shot, connections, each)
        self._tell("--dump=guard")
        time.sleep(2)
        self._tell("-i=off")
        [dump] = set(self._out.parent.glob("hajimi.*")) - before
        return _total(dump)

    def _tell(self, what: str) -> None:
        environment = {**os.environ, **NAMES}
        subprocess.run(
            ["callgrind_control", what, str(self._process.pid)], env=environment, check=True, capture_output=True
        )


def _total(file: Path) -> int:
    found = TOTAL.search(file.read_text(encoding="utf-8", errors="replace"))
    assert found, f"valgrind has counted nothing in {file}"
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
