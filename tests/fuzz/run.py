"""Anything at all, against every parser and every door: ``python -m tests.fuzz.run --cases 50000 --seconds 600``.

Two thirds of the cases go to the parsers, the rest through the door of a running hajimi; then atheris looks for
crashes of the stream decoder and the schema conversion, by coverage, for that many seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
import django

django.setup()

from tests.fuzz import door, parsers  # noqa: E402
from tests.points import Points  # noqa: E402
from tests.service.houses import house  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def fuzz_parsers(points: Points, cases: int) -> None:
    kept: dict[str, list[Any]] = {name: [] for name in parsers.PARSERS}
    share = -(-cases // len(parsers.PARSERS))
    for name in parsers.PARSERS:
        with points.point(f"{share} cases: {name}"):
            longest = parsers.feed(name, share, kept[name])
            assert longest < parsers.LONGEST_SECONDS, f"one took {longest:.1f} s"
    with points.point("the parsers' memory stays flat"):
        grown = parsers.growth(kept)
        assert grown < parsers.FLAT_BYTES, f"{grown / 2**20:.0f} MiB more"


def fuzz_door(points: Points, cases: int) -> None:
    with tempfile.TemporaryDirectory() as folder, house(Path(folder)) as here:
        with points.point(f"{cases} spoiled requests at every door"):
            door.spoiled_requests(here, cases)
        bursts = max(cases // 6, 50)
        with points.point(f"{bursts} bursts of raw bytes at the socket"):
            door.raw_bytes(here, bursts)
        with points.point("schemathesis finds nothing against /openapi.json"):
            door.schemathesis(here, max(cases // 500, 5))
        with points.point("the server has logged no fault of its own"):
            assert "Traceback" not in here.server.output, here.server.output[-3000:]


def fuzz_by_coverage(points: Points, seconds: int) -> None:
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("SKIPPED atheris: it is not installed (requirements-slow.txt)", flush=True)
        return
    for target in ("streams", "schemas"):
        with points.point(f"{seconds // 2} s of atheris: {target}"):
            command = [sys.executable, "-m", "tests.fuzz.coverage", target, f"-max_total_time={max(seconds // 2, 5)}"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            print(done.stderr.strip().splitlines()[-1], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    points = Points()
    fuzz_parsers(points, options.cases * 2 // 3)
    fuzz_door(points, options.cases // 3)
    fuzz_by_coverage(points, options.seconds)
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
