"""uvicorn in Daphne's place (SERVER=uvicorn), without what only ours does.

Reason phrases are HTTP's own, a body over the limit is refused once it has come, and neither connections nor large
bodies are counted by address. Drain, addresses, requests at once and access lines are the same.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from types import FrameType

import uvicorn

from hajimi_site import serving
from hajimi_site.front import Front
from hajimi_site.serving import FAREWELL_SECONDS, Application, Terms


class Server(uvicorn.Server):
    """One process that listens on one address. ``run`` returns when everything has ended."""

    def __init__(self, application: Application, terms: Terms) -> None:
        limits = terms.limits
        self._front = Front(application, terms.edge, limits.at_once_per_address)
        config = uvicorn.Config(
            self._front,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(limits.keep_alive_seconds),
            timeout_graceful_shutdown=int(limits.drain_seconds + FAREWELL_SECONDS) + 1,
            ws_max_size=2**20,
        )
        super().__init__(config)
        self._application = application
        self._drain_seconds = limits.drain_seconds
        self._keep_alive_seconds = limits.keep_alive_seconds
        self._retiring: asyncio.Task[None] | None = None
        self._terms = terms

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it. Raises what went wrong at the start."""
        with asyncio.Runner(loop_factory=self._terms.new_loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        try:
            await self._application.start()
            with serving.listener(self._terms) as listener:
                await self.serve([listener])
        finally:
            await self._application.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        self.loop = asyncio.get_running_loop()
        self.loop.add_signal_handler(signal.SIGHUP, self.end)
        await super().startup(sockets)
        if sockets:
            self._terms.on_ready(sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new; let what runs finish for a while, then end it in words."""
        self._application.begin_drain()
        ending = asyncio.get_running_loop().call_later(self._drain_seconds, self._application.end_all)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def end(self) -> None:
        """Begin the drain as a signal does."""
        self.should_exit = True

    def retire(self) -> None:
        """Take no new connection; end when those that are open have had their answers. Others take over."""
        if self._retiring is None:
            self._retiring = self.loop.create_task(self._retire())

    async def _retire(self) -> None:
        for server in self.servers:
            server.close()
        # A request may be on its way on a connection that is idle: each is closed with its next answer, or as usual.
        # uvicorn makes these headers of those, once a second (uvicorn.server.Server.on_tick).
        self.config.encoded_headers.append((b"connection", b"close"))
        until = time.monotonic() + self._keep_alive_seconds + 1
        # Over many connections: asking now and then is simpler than an event.
        while self._has_connections() and (time.monotonic() < until or self._front.running):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        self.end()

    def _has_connections(self) -> bool:
        websocket = self.config.ws_protocol_class
        return any(websocket is None or not isinstance(one, websocket) for one in self.server_state.connections)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain; a second signal shortens it. Ours, so that the process ends with 0 and not by the signal."""
        if self.should_exit:
            self.loop.call_soon_threadsafe(self._application.end_all)
        self.should_exit = True
