"""One process of many, as its supervisor starts it: the socket is there already, and it ends with its supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from hajimi_site.supervisor import READY, RETIRE


class Leash:
    """The channel to the supervisor: tells it that we listen, hears that we are to retire or that it is gone."""

    def __init__(self, descriptor: int, *, on_retire: Callable[[], None], on_end: Callable[[], None]) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.setblocking(False)
        self._on_retire = on_retire
        self._on_end = on_end

    def ready(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell that we listen, and hear the supervisor from now on."""
        self._loop = loop
        loop.add_reader(self._channel, self._hear)
        try:
            self._channel.send(READY)
        except OSError:
            # It is gone; reading will tell.
            return

    def _hear(self) -> None:
        try:
            word = self._channel.recv(1)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        if word == RETIRE:
            self._on_retire()
        else:
            self._loop.remove_reader(self._channel)
            self._on_end()
