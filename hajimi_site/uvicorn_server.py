"""uvicorn in Daphne's place (SERVER=uvicorn): cheaper by request, without what only ours does.

Reason phrases are HTTP's own, a body over the limit is refused once it has come, and neither connections nor large
bodies are counted by address. Drain, addresses, requests at once and access lines are the same.
"""

from __future__ import annotations

import asyncio
import socket
from types import FrameType

import uvicorn

from hajimi_site import serving
from hajimi_site.front import Front
from hajimi_site.serving import FAREWELL_SECONDS, Application, Terms


class Server(uvicorn.Server):
    """One process that listens on one address. ``run`` returns when everything has ended."""

    def __init__(self, application: Application, terms: Terms) -> None:
        limits = terms.limits
        config = uvicorn.Config(
            Front(application, terms.edge, limits.at_once_per_address),
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

    # Another process takes over: what runs here has as long as in a drain.
    retire = end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain; a second signal shortens it. Ours, so that the process ends with 0 and not by the signal."""
        if self.should_exit:
            self.loop.call_soon_threadsafe(self._application.end_all)
        self.should_exit = True
