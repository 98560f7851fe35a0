"""Granian in Daphne's place (SERVER=granian), with uvicorn's exceptions and one more: a drain cannot stop listening.

What comes meanwhile is refused in words. Granian is embedded (https://github.com/emmett-framework/granian): it runs in
the loop of this process, its network in Rust.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server as Embedded

from hajimi_site import serving
from hajimi_site.front import Front
from hajimi_site.serving import FAREWELL_SECONDS, Application, Terms
from hajimi_site.supervisor import BACKLOG


class _OnOurSocket(Embedded):
    """Granian on a socket that listens already: it would not tell which port it was given."""

    def __init__(self, application: Front, listener: socket.socket) -> None:
        super().__init__(application, interface=Interfaces.ASGINL, http=HTTPModes.http1, log_enabled=False)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        """Hand over the socket we have. Replaces granian.server.common.AbstractServer._init_shared_socket."""
        self._sfd: Any = self._listener.detach()
        # What it is made of stands nowhere in Granian's types: a descriptor, whether it is a Unix socket, a backlog.
        self._shd: Any = SocketHolder(self._sfd, False, BACKLOG)  # type: ignore[call-arg]
        self._ssp = None


class Server:
    """One process that listens on one address. ``run`` returns when everything has ended."""

    def __init__(self, application: Application, terms: Terms) -> None:
        limits = terms.limits
        self._application = application
        self._front = Front(application, terms.edge, limits.at_once_per_address)
        self._drain_seconds = limits.drain_seconds
        self._terms = terms
        self._signals = 0
        self._signalled = asyncio.Event()

    def run(self) -> None:
        """Serve until a signal ends it. Raises what went wrong at the start."""
        logging.getLogger("_granian").setLevel(logging.ERROR)
        with asyncio.Runner(loop_factory=self._terms.new_loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self.loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.add_signal_handler(number, self.end)
        try:
            await self._application.start()
            listener = serving.listener(self._terms)
            port = listener.getsockname()[1]
            embedded = _OnOurSocket(self._front, listener)
            running = asyncio.create_task(embedded.serve())
            self._terms.on_ready(port)
            await self._signalled.wait()
            await self._drain()
            embedded.stop()  # type: ignore[no-untyped-call]
            await running
        finally:
            await self._application.stop()

    async def _drain(self) -> None:
        """Take nothing new; let what runs finish for a while, then end it in words."""
        self._front.is_draining = True
        self._application.begin_drain()
        await self._wait(self._drain_seconds, hurry=True)
        self._application.end_all()
        await self._wait(FAREWELL_SECONDS)

    async def _wait(self, seconds: float, *, hurry: bool = False) -> None:
        """Wait until nothing runs, at most ``seconds``; a second signal ends a wait that may ``hurry``."""
        until = time.monotonic() + seconds
        # Rare, and over many connections: asking now and then is simpler than an event.
        while self._front.running and time.monotonic() < until and not (hurry and self._signals > 1):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def end(self) -> None:
        """Begin the drain; a second time shortens it."""
        self._signals += 1
        self._signalled.set()

    # Never asked of it: it cannot stop listening, so that its supervisor replaces no process (see the serve command).
    retire = end
