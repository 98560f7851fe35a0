"""Daphne as we run it: limits, back-pressure, a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketFactory
from django.utils.translation import gettext_noop as _
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.logger import STDLibLogObserver, globalLogBeginner
from twisted.web import http

from hajimi_site.addresses import Edge
from hajimi_site.channel import Channel
from hajimi_site.exchange import Exchange, Message
from hajimi_site.transport import Port
from proxy.errors import NotReady

BACKLOG: Final = 1024
SWEEP_SECONDS: Final = 1.0
# After the drain: for streams to say goodbye, for their last bytes to leave, and then for everything else.
FAREWELL_SECONDS: Final = 5.0
FLUSH_SECONDS: Final = 2.0
EXIT_SECONDS: Final = 20.0
GOING_AWAY: Final = 1001

logger = logging.getLogger("hajimi.server")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. Times in seconds."""

    body_bytes: int
    drain_seconds: float = 20.0
    idle_seconds: float = 60.0
    keep_alive_seconds: float = 75.0
    stall_seconds: float = 30.0


class Application(Protocol):
    """What the server serves: an ASGI application with a beginning and an end."""

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        """Serve one request or websocket."""

    async def start(self) -> None:
        """Get everything ready; runs before the server listens."""

    def begin_drain(self) -> None:
        """Take nothing new from now on."""

    def end_all(self) -> None:
        """End every running answer in its client's own words."""

    async def stop(self) -> None:
        """Write and close everything."""


class CannotListen(Exception):
    """The address cannot be listened on; the message says why."""


class Factory(http.HTTPFactory):  # type: ignore[misc]
    """Makes a Channel for each connection."""

    noisy = False

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def buildProtocol(self, addr: Any) -> Channel:  # noqa: N802 - Twisted's name
        """Return the reader of a new connection."""
        channel = Channel(self.server)
        channel.factory = self
        return channel

    def startFactory(self) -> None:  # noqa: N802
        """Keep no log file: Exchange writes the access line."""

    def stopFactory(self) -> None:  # noqa: N802
        """Nothing was opened."""


class Server(DaphneServer):  # type: ignore[misc]
    """One process that listens on one address. ``run`` returns when everything has ended."""

    def __init__(
        self,
        application: Application,
        *,
        host: str,
        port: int,
        limits: Limits,
        edge: Edge,
        on_ready: Callable[[int], None],
    ) -> None:
        super().__init__(application, endpoints=["ours"], signal_handlers=False, server_name="hajimi")
        self.limits = limits
        self.edge = edge
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        self.channels: set[Channel] = set()
        self.exchanges: set[Exchange] = set()
        self.is_draining = False
        self._address = host, port
        self._on_ready = on_ready
        self._signals = 0
        self._signalled = asyncio.Event()
        self._failure: Exception | None = None
        self._port: Port | None = None
        self._exit_code = 1

    def run(self) -> None:
        """Serve until a signal ends it. Raises what went wrong at the start."""
        self.connections: dict[Any, Any] = {}
        self.ws_factory = WebSocketFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
        )
        globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], redirectStandardIO=False)
        asyncio.set_event_loop(self.loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._on_signal)
        life = self.loop.create_task(self._live())
        reactor.run(installSignalHandlers=False)
        life.cancel()
        self._exit_code = 0
        if self._failure is not None:
            raise self._failure

    # From start to end

    async def _live(self) -> None:
        try:
            await self.application.start()
            self._listen()
            await self._signalled.wait()
            await self._drain()
        except Exception as error:
            # run() raises it, outside the loop.
            self._failure = error
        try:
            await self.application.stop()
        except Exception:
            logger.exception("The end was not clean")
        reactor.stop()

    def _listen(self) -> None:
        host, port = self._address
        try:
            interface = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
            self._port = Port(port, Factory(self), BACKLOG, interface, reactor)
            self._port.startListening()
        except (OSError, CannotListenError) as error:
            reason = getattr(error, "socketError", error)
            raise CannotListen(f"cannot listen on {host}:{port}: {getattr(reason, 'strerror', reason)}") from None
        reactor.callLater(SWEEP_SECONDS, self._sweep)
        reactor.callLater(SWEEP_SECONDS, self.application_checker)
        reactor.callLater(SWEEP_SECONDS, self.timeout_checker)
        self._on_ready(self._port.getHost().port)

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._signalled.set()
            # Threads that hang in a page's view would keep the process for ever.
            patience = self.limits.drain_seconds + FAREWELL_SECONDS + FLUSH_SECONDS + EXIT_SECONDS
            threading.Thread(target=self._exit_after, args=(patience,), daemon=True).start()

    def _exit_after(self, seconds: float) -> None:
        time.sleep(seconds)
        sys.stderr.flush()
        os._exit(self._exit_code)

    async def _drain(self) -> None:
        """Take nothing new; let what runs finish, then end it in words, then end it."""
        self.is_draining = True
        self.application.begin_drain()
        if self._port is not None:
            self._port.stopListening()
        for channel in self.channels:
            channel.persistent = False
            if channel.is_idle:
                channel.loseConnection()
        await self._wait(self.limits.drain_seconds, lambda: not self.exchanges, hurry=True)
        self.application.end_all()
        self._close_websockets()
        await self._wait(FAREWELL_SECONDS, lambda: not self.exchanges)
        for exchange in list(self.exchanges):
            exchange.leave()
        await self._wait(FLUSH_SECONDS, lambda: not self.exchanges and not self._has_unsent())
        await self._cancel_applications()

    async def _wait(self, seconds: float, done: Callable[[], bool], *, hurry: bool = False) -> None:
        """Wait until ``done``, at most ``seconds``; a second signal ends a wait that may ``hurry``."""
        until = time.monotonic() + seconds
        # What is waited for is spread over many connections: asking now and then is simpler than an event.
        while not done() and time.monotonic() < until and not (hurry and self._signals > 1):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def _has_unsent(self) -> bool:
        return any(channel.transport.waiting for channel in self.channels)

    def _close_websockets(self) -> None:
        for protocol in list(self.connections):
            if protocol.state == protocol.STATE_OPEN:
                protocol.sendCloseFrame(code=GOING_AWAY)
            else:
                protocol.transport.loseConnection()

    async def _cancel_applications(self) -> None:
        tasks = [exchange.task for exchange in self.exchanges if exchange.task]
        tasks += [task for details in self.connections.values() if (task := details.get("application_instance"))]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=FLUSH_SECONDS)

    # While it runs

    def start(self, exchange: Exchange, scope: Message) -> None:
        """Run the application for a request that has come whole."""
        if self.is_draining:
            exchange.refuse(NotReady(_("This server is shutting down; try again in a moment."), retry_after=5))
            return
        self.exchanges.add(exchange)
        task = self.loop.create_task(self.application(scope, exchange.receive, exchange.send))
        exchange.task = task
        task.add_done_callback(exchange.application_ended)

    def _sweep(self) -> None:
        """Look after every connection."""
        now = time.monotonic()
        for channel in list(self.channels):
            if channel.transport.disconnected:
                self.channels.discard(channel)
            else:
                channel.look_after(now)
        reactor.callLater(SWEEP_SECONDS, self._sweep)

    def kill_all_applications(self) -> None:
        """Nothing is left to do: the drain has ended them. Replaces Daphne's, which fails during an upload."""
