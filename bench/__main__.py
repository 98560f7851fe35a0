"""`make bench`: measures speed and memory of hajimi on this machine and prints the table.

Times never fail it; an answer that is wrong, cut or out of order does.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys

from bench import machine, page
from bench.chart import bars
from bench.matrix import Matrix, Table
from bench.running import Row
from bench.scenarios import run


def main() -> int:
    """Measure, print, and with ``--write`` put the tables into both editions of docs/performance.md."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance*.md")
    parser.add_argument("--scale", type=float, default=1.0, help="how long the loads are; 0.1 is a quick look")
    parser.add_argument("--all", action="store_true", help="the long tables: every kind, store and number of streams")
    parser.add_argument("--peers", action="store_true", help="other gateways beside hajimi; installs them once")
    options = parser.parse_args()
    written = _Page(options.write, options.scale)
    if options.all or options.peers:
        faults = _long(options.scale, written, everything=options.all)
    else:
        rows, faults = run(options.scale, _say)
        written.put("table", table(rows))
    for fault in faults:
        print(f"WRONG: {fault}", file=sys.stderr)
    if not faults:
        written.close()
    return 1 if faults else 0


def _long(scale: float, written: _Page, *, everything: bool) -> list[str]:
    matrix = Matrix(scale, _say)
    if everything:
        written.put("kinds", _markdown(matrix.kinds()))
        written.put("streams", _markdown(matrix.streams()))
        written.put("growth", _markdown(matrix.growth()))
    else:
        peers, figures = matrix.peers()
        written.put("peers", _markdown(peers))
        figures.sort(key=lambda figure: figure[1])
        whole = [(name, milliseconds) for name, milliseconds, _ in figures]
        paced = [(name, seconds) for name, _, seconds in figures]
        titles = "Processor time per request", "Processor time per 100,000 streamed chunks"
        written.picture = bars([(titles[0], "ms", whole), (titles[1], "s", paced)])
    for line in matrix.skipped:
        print(f"SKIPPED {line}", file=sys.stderr)
    return matrix.faults


def _say(name: str) -> None:
    print(f"... {name.replace('_', ' ')}", file=sys.stderr, flush=True)


def _dated(text: str, scale: float, began: machine.Spent) -> str:
    """Return a table under a line that names the machine and the day, and over what makes its figures doubtful."""
    head = f"{machine.describe()}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    shared = machine.shared(began, machine.Spent.now(), os.cpu_count() or 1)
    coarse = f"**Loads shortened (scale {scale:g}): these figures are coarse.**" if scale < 1 else ""
    return "\n\n".join(filter(None, [head, text, coarse, shared]))


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ["what", "measured", "at most", "goal", "", ""]
    return _markdown([head, *map(_line, rows)])


def _line(row: Row) -> list[str]:
    most = "" if row.most is None else f"{row.most:g} {row.unit}"
    goal = "" if row.goal is None else f"{row.goal:g} {row.unit}"
    verdict = {True: "holds", False: "**missed**", None: ""}[row.holds]
    if row.goal is not None and row.holds:
        verdict = _distance(row.measured, row.goal)
    return [row.what, f"{row.measured:.3g} {row.unit}", most, goal, verdict, row.note]


def _distance(measured: float, goal: float) -> str:
    if measured <= goal:
        return "goal met"
    return f"holds; {measured / goal:.2f} of the goal" if goal else "holds"


def _markdown(table: Table) -> str:
    head, *rows = table
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


class _Page:
    """What goes to the screen and, if it is to be ``kept``, into the documents: texts by their marks."""

    def __init__(self, kept: bool, scale: float) -> None:
        self._kept = kept
        self._scale = scale
        self._began = machine.Spent.now()
        self._texts: dict[str, str] = {}
        self.picture = ""

    def put(self, mark: str, text: str) -> None:
        """Print a table, and keep it for its place in the page."""
        self._texts[mark] = _dated(text, self._scale, self._began)
        print(f"{self._texts[mark]}\n", flush=True)

    def close(self) -> None:
        """Write."""
        if self._kept:
            page.write(self._texts, self.picture)


if __name__ == "__main__":
    sys.exit(main())
