"""The timer that keeps a silent stream alive."""

from __future__ import annotations

import asyncio

from proxy.heartbeat import Heartbeat


class Wire:
    def __init__(self, hangs: bool = False) -> None:
        self.beats = 0
        self.cancelled = False
        self._hangs = hangs

    async def beat(self) -> None:
        self.beats += 1
        if self._hangs:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise


async def test_it_beats_while_nothing_is_sent():
    wire = Wire()
    heartbeat = Heartbeat(wire.beat, 0.05)

    await asyncio.sleep(0.3)
    await heartbeat.stop()

    assert 3 <= wire.beats <= 6


async def test_it_is_silent_while_the_stream_speaks():
    wire = Wire()
    heartbeat = Heartbeat(wire.beat, 0.5)

    # Twice as long as it would wait; a busy machine may keep it waiting between two words.
    for _ in range(100):
        heartbeat.sent = asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
    await heartbeat.stop()

    assert wire.beats == 0


async def test_it_never_beats_into_a_write():
    wire = Wire()
    heartbeat = Heartbeat(wire.beat, 0.02)

    heartbeat.is_busy = True
    await asyncio.sleep(0.15)
    await heartbeat.stop()

    assert wire.beats == 0


async def test_a_beat_that_hangs_is_waited_for_and_ended():
    wire = Wire(hangs=True)
    heartbeat = Heartbeat(wire.beat, 0.02)

    await asyncio.sleep(0.2)
    await heartbeat.stop()

    assert wire.beats == 1
    assert wire.cancelled


async def test_a_stopped_one_beats_no_more():
    wire = Wire()
    heartbeat = Heartbeat(wire.beat, 0.02)

    await heartbeat.stop()
    await asyncio.sleep(0.08)

    assert wire.beats == 0
