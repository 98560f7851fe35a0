"""The short table: what is measured with every change, and the bars that must hold."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench import growth, machine, rivals
from bench.load import WHOLE, Shot
from bench.rivals import NotHere
from bench.running import DIRECT, DIRECT_WHOLE, Bench, Row, hajimi, middle, times, upstream


def run(scale: float, say: Callable[[str], None]) -> tuple[list[Row], list[str]]:
    """Run every scenario; ``scale`` shortens (below 1) or lengthens the loads. Return the rows and the faults."""
    rows: list[Row] = []
    faults: list[str] = []
    with upstream() as port:
        with hajimi(port, FAKE_STREAMING=False) as server:
            bench = Bench(server.pid, server.base_url, server.password, port, rows, faults)
            bench.row("start to first answered request", server.seconds_to_answer, "s", 3, goal=1.5)
            for scenario in (
                idle_memory,
                first_token,
                whole_answers,
                paced_streams,
                open_streams,
                many_streams,
                memory_after,
            ):
                say(scenario.__name__)
                scenario(bench, scale)
        with hajimi(port, FAKE_STREAMING=True) as server:
            say(fake_streams.__name__)
            fake_streams(Bench(server.pid, server.base_url, server.password, port, rows, faults), scale)
        say(yardstick.__name__)
        rows += yardstick(port, rows, scale, faults)
    say(grown_house.__name__)
    rows.append(grown_house(scale, faults))
    return rows, faults


WHOLE_ANSWERS = "processor per non-streamed request, 16 at a time"
PACED_STREAMS = "processor per 100,000 streamed chunks, 50 streams"
# What nginx needed for the two on the machine of the bars, in milliseconds and seconds.
NGINX = {WHOLE_ANSWERS: 0.021, PACED_STREAMS: 2.1}


def yardstick(port: int, rows: list[Row], scale: float, faults: list[str]) -> list[Row]:
    """The same two loads through nginx, which passes them on only; no rows without nginx.

    It says how quick a machine is, so the bars are put in its terms, too: those hold or not on any machine.
    """
    measured = {row.what: row for row in rows}
    try:
        with rivals.nginx(port) as rival:
            bench = Bench(rival.pid, f"http://127.0.0.1:{rival.port}", rival.password, port, [], faults)
            whole = bench.load(Shot(DIRECT_WHOLE, False, 20), 16, max(20, int(250 * scale))).ms_per_answer
            paced = bench.load(Shot(DIRECT, chunks=60, interval=50), 50, max(1, round(3 * scale))).s_per_100k
    except NotHere:
        return []
    return [in_terms_of_nginx(measured[what], cost) for what, cost in ((WHOLE_ANSWERS, whole), (PACED_STREAMS, paced))]


def in_terms_of_nginx(row: Row, cost: float) -> Row:
    """Return one of those two rows, and its bars, as multiples of what nginx needed in the same run."""
    most, goal = (bar and round(bar / NGINX[row.what], 1) for bar in (row.most, row.goal))
    note = f"nginx, passing on only: {cost:.3g} {row.unit}"
    return Row(f"{row.what}: to nginx", row.measured / cost, "×", most, goal, note)


def idle_memory(bench: Bench, scale: float) -> None:
    """Memory after the start, before any request but one."""
    time.sleep(2)
    bench.row("memory, idle", machine.memory_mb(bench.pid), "MB", 110, goal=90)


def first_token(bench: Bench, scale: float) -> None:
    """Time to the first visible text with nothing else going on, less the time straight to the upstream."""
    each = max(20, int(150 * scale))
    bench.load(Shot(chunks=3), 1, 20)
    through = bench.load(Shot(chunks=3), 1, each)
    straight = bench.load(Shot(DIRECT, chunks=3), 1, each, direct=True)
    added = middle(through.tally.first) - middle(straight.tally.first)
    note = f"{middle(through.tally.first):.2f} ms, straight to the upstream {middle(straight.tally.first):.2f} ms"
    bench.row("time to first token, added", added, "ms", 2.5, goal=1.5, note=note)


def whole_answers(bench: Bench, scale: float) -> None:
    """Non-streamed chats, 16 at a time."""
    bench.load(WHOLE, 16, 15)
    run = bench.load(WHOLE, 16, max(20, int(250 * scale)))
    note = f"{run.per_second:.0f} requests/s; {times(run.tally.whole)}"
    bench.row(WHOLE_ANSWERS, run.ms_per_answer, "ms", 1.0, goal=0.6, note=note)


def paced_streams(bench: Bench, scale: float) -> None:
    """True streams, 50 at a time, a chunk each 50 ms."""
    run = bench.load(Shot(chunks=60, interval=50), 50, max(1, round(3 * scale)))
    note = f"{run.tally.chunks / run.tally.seconds:.0f} chunks/s; added to a chunk {times(run.tally.added)}"
    bench.row(PACED_STREAMS, run.s_per_100k, "s", 11, goal=9, note=note)


def many_streams(bench: Bench, scale: float) -> None:
    """Many true streams at once, a chunk each 50 ms."""
    count = max(50, int(1000 * min(scale, 1)))
    run = bench.load(Shot(chunks=80, interval=50), count, 1)
    note = (
        f"{run.tally.chunks / run.tally.seconds:.0f} chunks/s; {times(run.tally.added)}; {len(run.tally.faults)} faults"
    )
    what = f"added to a chunk, 99 of 100 below, {count} streams"
    bench.row(what, middle(run.tally.added, 0.99), "ms", 250, goal=60, note=note)


def open_streams(bench: Bench, scale: float) -> None:
    """What memory a true stream takes. Slow ones, or what a late process has not yet read would count too."""
    count = max(50, int(500 * min(scale, 1)))
    bench.load(Shot(chunks=3), 50, 2)
    run = bench.load(Shot(chunks=20, interval=250), count, 1, watch_memory=True)
    bench.row(f"memory for each open stream, {count} streams", run.kb_per_connection, "KB", 45, goal=25)


def memory_after(bench: Bench, scale: float) -> None:
    """Memory once the loads are over."""
    bench.row("memory, after the loads", machine.memory_mb(bench.pid), "MB")


def fake_streams(bench: Bench, scale: float) -> None:
    """Streams that are fetched whole first, 50 at a time; the upstream takes half a second."""
    bench.load(Shot(chunks=60, wait=500), 50, 1)
    run = bench.load(Shot(chunks=60, wait=500), 50, max(2, round(8 * scale)))
    note = f"{run.per_second:.0f} requests/s; first text {times(run.tally.first)} (500 ms are the upstream's)"
    bench.row("processor per fake-streamed request, 50 at a time", run.ms_per_answer, "ms", note=note)


def grown_house(scale: float, faults: list[str]) -> Row:
    """Non-streamed chats in a house of 2,000 keys, 500 members and 200,000 log rows, beside an empty one."""
    full = growth.Sizes(growth.FULL.keys, growth.FULL.members, int(growth.FULL.rows * min(scale, 1)))
    houses, each = (growth.EMPTY, full), max(10, int(100 * scale))
    empty, grown = growth.side_by_side(houses, max(2, round(15 * scale)), each, faults)
    what = f"a request with {full.keys:,} keys, {full.members} members, {full.rows:,} log rows, more"
    note = f"{grown.ms:.3f} ms, with nothing {empty.ms:.3f} ms (loaded in turn, middle of {len(grown.rounds)} pairs)"
    return Row(what, grown.more_than(empty), "%", 10, goal=0, note=note)
