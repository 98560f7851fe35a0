"""What the process does to take little memory, and to hand it back."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Final

# glibc's names and numbers (malloc.h).
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
# Many times what asyncio reads at once: the end of the heap must not be handed back, and asked for again, with each
# read. (With 128 KB, its default, that is two system calls for every streamed chunk.)
TRIM_BYTES: Final = 4 * 2**20
# Just above what asyncio reads at once: those buffers come and go all the time and stay cheap.
MMAP_BYTES: Final = 264 * 1024


def give_back_large_blocks() -> None:
    """Let large blocks go back to the system when they are freed.

    glibc raises its threshold with the first large block it frees, and then keeps all others for itself, in pieces:
    twenty clients that do not read cost twice as much (measured: 47 to 104 MB, then 24 to 43 MB). Without glibc
    nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)


@contextlib.contextmanager
def missing(module: str) -> Iterator[None]:
    """Let ``module`` seem not to be installed meanwhile; nothing happens if it is loaded already."""
    if module in sys.modules:
        yield
        return
    # Python's own way: https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
