"""What the benchmark makes of what it measures."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import machine
from bench.__main__ import table
from bench.machine import Spent, shared
from bench.running import Row
from bench.scenarios import NGINX, PACED_STREAMS, WHOLE_ANSWERS, in_terms_of_nginx


@pytest.mark.parametrize(("what", "unit"), [(WHOLE_ANSWERS, "ms"), (PACED_STREAMS, "s")])
def test_a_bar_that_a_slow_machine_misses_holds_where_nginx_is_as_slow(what: str, unit: str) -> None:
    row = Row(what, 3.0, unit, most=2.0, goal=1.0)

    assert not row.holds
    assert in_terms_of_nginx(row, 2 * NGINX[what]).holds
    assert not in_terms_of_nginx(row, NGINX[what]).holds


def test_a_row_in_terms_of_nginx_says_how_often_and_what_nginx_needed() -> None:
    row = in_terms_of_nginx(Row(WHOLE_ANSWERS, 0.42, "ms", most=1.0, goal=0.6), 0.021)

    assert (
        table([row])
        .splitlines()[-1]
        .endswith(": to nginx | 20 × | 47.6 × | 28.6 × | goal met | nginx, passing on only: 0.021 ms |")
    )


def test_the_processor_time_of_a_process_is_counted_finely_with_what_it_has_started() -> None:
    before = machine.cpu_seconds(os.getpid())
    busy = "import time; time.sleep(0.01)\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both, alone = machine.cpu_seconds(os.getpid()) - before, machine.cpu_seconds(child.pid)
        child.communicate(b"\n")

    assert 0.3 <= alone <= both
    # Not in hundredths of a second.
    assert round(alone * 100) != alone * 100


def test_a_table_says_when_other_programs_or_the_host_took_much_of_the_processor() -> None:
    began = Spent(clock=100.0, programs=10.0, ours=5.0, stolen=1.0)

    assert shared(began, Spent(200.0, 110.0, 100.0, 5.0), cores=2) == ""
    assert shared(began, Spent(200.0, 110.0, 65.0, 1.0), cores=2) == (
        "**The processor was shared: 20% of it went to other programs.**"
    )
    assert shared(began, Spent(200.0, 110.0, 65.0, 61.0), cores=2) == (
        "**The processor was shared: 20% of it went to other programs and 30% of it went to the host of this machine.**"
    )


def test_this_machine_can_be_asked() -> None:
    before, after = Spent.now(), Spent.now()

    assert after.clock > before.clock
    assert after.programs >= before.programs >= before.ours > 0
    assert after.stolen >= before.stolen >= 0
