"""`make homes`: python -m tests.homes [linux] [docker]."""

from __future__ import annotations

import sys

from tests.homes import docker, linux
from tests.points import Points

HOMES = {"linux": linux.main, "docker": docker.main}


def main(*chosen: str) -> int:
    """Try the chosen homes, or all."""
    points = Points()
    for name, home in HOMES.items():
        if not chosen or name in chosen:
            home(points)
    return points.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
