"""Several voices of one request: its choices, merged as they come, or the pieces of one answer, in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from proxy.errors import HajimiError, StoppedEarly
from proxy.translation.reply import Delta
from proxy.voice import Voice


async def together(voices: Sequence[Voice]) -> AsyncGenerator[list[Delta], None]:
    """Yield the deltas of all ``voices`` as they come.

    A voice that brings no answer is left out as long as another one does; when none does, the first failure is
    raised. A voice that breaks off after visible output ends the answer with its error.
    """
    queue: asyncio.Queue[list[Delta] | Exception | None] = asyncio.Queue(maxsize=len(voices))
    pumps = [asyncio.create_task(_pump(voice, queue)) for voice in voices]
    failures: list[Exception] = []
    try:
        for _ in pumps:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    failures.append(item)
                    break
                yield item
        _raise_first(failures, voices)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)


async def in_turn(voices: Sequence[Voice]) -> AsyncGenerator[list[Delta], None]:
    """Yield the deltas of all ``voices`` at once, when each has spoken, one after the other; all of them, or none."""
    said: list[Delta] = []
    for voice in voices:
        async with aclosing(voice.run()) as deltas:
            async for batch in deltas:
                said += batch
    yield said


async def _pump(voice: Voice, queue: asyncio.Queue[list[Delta] | Exception | None]) -> None:
    """Put a voice's deltas into the queue, then None, or the exception that ended it."""
    try:
        async with aclosing(voice.run()) as deltas:
            async for batch in deltas:
                await queue.put(batch)
        await queue.put(None)
    except Exception as error:  # Handed to the one who reads the queue, who raises it.
        await queue.put(error)


def _raise_first(failures: list[Exception], voices: Sequence[Voice]) -> None:
    """Raise the failure that the client must hear of, if there is one."""
    heard = failures if len(failures) == len(voices) else [error for error in failures if _was_speaking(error)]
    if heard:
        raise heard[0]


def _was_speaking(error: Exception) -> bool:
    return isinstance(error, StoppedEarly) or not isinstance(error, HajimiError)
