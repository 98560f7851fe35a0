"""An address that says nothing at all to whoever connects, as behind a firewall that drops packets."""

from __future__ import annotations

import contextlib
import socket
from typing import Self

import pytest


class Blackhole:
    """A listener whose queue is full and that never accepts: Linux drops every further SYN, and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        # Whoever takes the address over finds it free at once.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> Self:
        for _ in range(4):
            self._fill()
        if not self._is_silent():
            self.close()
            pytest.skip("this system answers connections that nobody accepts")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be gone: the address is free for somebody who answers."""
        for one in (*self._fillers, self._listener):
            one.close()

    def _fill(self) -> None:
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(("127.0.0.1", self.port))
        self._fillers.append(filler)

    def _is_silent(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return True
            return False
