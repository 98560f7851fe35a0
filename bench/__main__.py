"""`make bench`: measures speed and memory of hajimi on this machine and prints the table.

Times never fail it; an answer that is wrong, cut or out of order does.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from bench import machine
from bench.scenarios import Row, run

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- table: make bench writes it -->", "<!-- end of the table -->"


def main() -> int:
    """Measure, print, and with ``--write`` put the table into docs/performance.md."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--scale", type=float, default=1.0, help="how long the loads are; 0.1 is a quick look")
    options = parser.parse_args()
    warning = machine.busy()
    rows, faults = run(options.scale, lambda name: print(f"... {name.replace('_', ' ')}", file=sys.stderr))
    text = "\n\n".join(filter(None, [table(rows), warning]))
    print(text)
    for fault in faults:
        print(f"WRONG: {fault}", file=sys.stderr)
    if options.write and not faults:
        write(text)
    return 1 if faults else 0


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table under a line that names the machine."""
    head = f"{machine.describe()}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    lines = [head, "", "| what | measured | at most | | |", "|---|---:|---:|---|---|"]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: Row) -> str:
    most = "" if row.most is None else f"{row.most:g} {row.unit}"
    verdict = {True: "holds", False: "**missed**", None: ""}[row.holds]
    return f"| {row.what} | {row.measured:.3g} {row.unit} | {most} | {verdict} | {row.note} |"


def write(text: str) -> None:
    """Replace the table of docs/performance.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
