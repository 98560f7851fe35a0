"""SIGTERM and Ctrl-C while hajimi starts: noted, and obeyed between two steps, so that no migration is cut.

Without a handler SIGTERM would end the start anywhere; and the first process of a container, which Linux spares
signals that it does not handle (https://man7.org/linux/man-pages/man7/pid_namespaces.7.html), would never hear it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Final

# What a shell says of a program that Ctrl-C has ended.
INTERRUPTED: Final = 130

logger = logging.getLogger("hajimi")

_heard: list[int] = []
_waits: list[bool] = []


def note() -> None:
    """Note SIGTERM and SIGINT from now on, until a server hears them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)


def obey() -> None:
    """End here if a signal has come. Raises SystemExit; called where nothing is half done."""
    if _heard:
        logger.info("hajimi was told to stop while it started, and has stopped.")
        sys.exit(0)


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """In this block a signal is obeyed at once: it only waits."""
    _waits.append(True)
    try:
        obey()
        yield
    finally:
        _waits.pop()


def hand_over() -> None:
    """Send what was noted once more: the server hears signals now."""
    if _heard:
        number = _heard[0]
        _heard.clear()
        os.kill(os.getpid(), number)


def _on_signal(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    if _waits:
        obey()
    if _heard.count(signal.SIGINT) > 1:
        # Whoever presses it again means it.
        sys.exit(INTERRUPTED)
