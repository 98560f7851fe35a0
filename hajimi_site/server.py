"""Daphne as we run it: limits, back-pressure, a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final

from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketFactory
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.logger import STDLibLogObserver, globalLogBeginner
from twisted.web import http

from hajimi_site.channel import Channel
from hajimi_site.crowd import Crowd
from hajimi_site.exchange import Exchange, Message
from hajimi_site.peers import notice_the_gone
from hajimi_site.replaced import unread
from hajimi_site.serving import (
    FAREWELL_SECONDS,
    SHUTTING_DOWN,
    TOO_MANY_AT_ONCE,
    Application,
    CannotListen,
    Terms,
)
from hajimi_site.supervisor import why_not
from hajimi_site.transport import Port
from proxy.errors import LimitReached, NotReady

BACKLOG: Final = 1024
SWEEP_SECONDS: Final = 1.0
# After the drain and the farewell: for last bytes to leave, and then for everything else, which is above all the
# journal (10 s at most) and the last snapshot (15 s at most).
FLUSH_SECONDS: Final = 2.0
EXIT_SECONDS: Final = 28.0
GOING_AWAY: Final = 1001
TOLD_AGAIN_SECONDS: Final = 60.0

logger = logging.getLogger("hajimi.server")


class Factory(http.HTTPFactory):  # type: ignore[misc]
    """Makes a Channel for each connection."""

    noisy = False

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def buildProtocol(self, addr: Any) -> Channel | None:  # noqa: N802 - Twisted's name
        """Return the reader of a new connection; None closes it, when its peer has too many already."""
        if not self.server.lets_in(addr.host):
            return None
        channel = Channel(self.server)
        channel.factory = self
        return channel

    def startFactory(self) -> None:  # noqa: N802
        """Keep no log file: Exchange writes the access line."""

    def stopFactory(self) -> None:  # noqa: N802
        """Nothing was opened."""


class Server(DaphneServer):  # type: ignore[misc]
    """One process that listens on one address. ``run`` returns when everything has ended."""

    def __init__(self, application: Application, terms: Terms) -> None:
        super().__init__(application, endpoints=["ours"], signal_handlers=False, server_name="hajimi")
        limits = terms.limits
        self.limits = limits
        self.edge = terms.edge
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        self.channels: set[Channel] = set()
        self.exchanges: set[Exchange] = set()
        self.crowd = Crowd(limits.at_once_per_address, limits.body_bytes)
        self._told_at = float("-inf")
        self.is_draining = False
        self.is_retiring = False
        self._address = terms.host, terms.port
        self._listener = terms.listener
        self._on_ready = terms.on_ready
        self._signals = 0
        self._signalled = asyncio.Event()
        self._failure: Exception | None = None
        self._port: Port | None = None
        self._exit_code = 1

    def run(self) -> None:
        """Serve until a signal ends it. Raises what went wrong at the start."""
        _take_all_files()
        self.connections: dict[Any, Any] = {}
        self.ws_factory = WebSocketFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
        )
        if others := unread():
            logger.warning("Libraries in versions that hajimi was not checked with: %s", others)
        globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], redirectStandardIO=False)
        asyncio.set_event_loop(self.loop)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
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
        except (Exception, asyncio.CancelledError):
            logger.exception("The end was not clean")
        finally:
            reactor.stop()

    def _listen(self) -> None:
        host, port = self._address
        try:
            self._port = self._new_port(host, port)
            self._port.startListening()
            notice_the_gone(self._port.socket)
        except (OSError, UnicodeError, CannotListenError) as error:
            raise CannotListen(why_not(host, port, getattr(error, "socketError", error))) from None
        reactor.callLater(SWEEP_SECONDS, self._sweep)
        reactor.callLater(SWEEP_SECONDS, self.application_checker)
        reactor.callLater(SWEEP_SECONDS, self.timeout_checker)
        self._on_ready(self._port.getHost().port)

    def _new_port(self, host: str, port: int) -> Port:
        if self._listener is not None:
            given, family = self._listener.fileno(), self._listener.family
            adopted: Port = Port._fromListeningDescriptor(reactor, given, family, Factory(self))
            return adopted
        interface = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
        return Port(port, Factory(self), BACKLOG, interface, reactor)

    def retire(self) -> None:
        """Take no new connection; end when those that are open have had their answers. Others take over."""
        if not self.is_retiring and self._port is not None:
            self.is_retiring = True
            self._port.stopListening()
            self._retiring = self.loop.create_task(self._retire())

    async def _retire(self) -> None:
        # A request may be on its way on a connection that is idle: each is closed with its next answer, or as usual.
        until = time.monotonic() + self.limits.keep_alive_seconds + SWEEP_SECONDS
        while any(not channel.is_websocket for channel in self.channels):
            if time.monotonic() > until and not self.exchanges:
                break
            await asyncio.sleep(0.1)
        self.end()

    def end(self) -> None:
        """Begin the drain as a signal does, unless it has begun."""
        if not self._signals:
            self._on_signal()

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

    def lets_in(self, peer: str) -> bool:
        """Count a new connection of ``peer``; False when it may have no more. A trusted proxy may have any number."""
        if not self._counts(peer):
            return True
        if self.crowd.enter(self.crowd.connections, peer):
            return True
        if time.monotonic() - self._told_at > TOLD_AGAIN_SECONDS:
            self._told_at = time.monotonic()
            logger.warning("%s has %d connections open; further ones are closed", peer, self.crowd.most)
        return False

    def forget(self, channel: Channel) -> None:
        """A connection has ended. Twice does nothing."""
        if channel in self.channels:
            self.channels.discard(channel)
            if self._counts(channel.peer.host):
                self.crowd.leave(self.crowd.connections, channel.peer.host)

    def _counts(self, peer: str) -> bool:
        address = self.edge.peer(peer)
        return address is None or not self.edge.trusts(address)

    def start(self, exchange: Exchange, scope: Message) -> None:
        """Run the application for a request that has come whole."""
        if self.is_draining:
            exchange.refuse(NotReady(SHUTTING_DOWN, retry_after=5))
            return
        if not self.crowd.enter(self.crowd.requests, exchange.client_address):
            exchange.refuse(LimitReached(TOO_MANY_AT_ONCE, {"limit": self.crowd.most}, retry_after=1))
            return
        self.exchanges.add(exchange)
        exchange.context = copy_context()
        answering = self.application(scope, exchange.receive, exchange.send)
        task = self.loop.create_task(answering, context=exchange.context)
        exchange.task = task
        task.add_done_callback(exchange.application_ended)

    def _sweep(self) -> None:
        """Look after every connection."""
        now = time.monotonic()
        for channel in list(self.channels):
            if channel.transport.disconnected:
                self.forget(channel)
            else:
                channel.look_after(now)
        reactor.callLater(SWEEP_SECONDS, self._sweep)

    def kill_all_applications(self) -> None:
        """Nothing is left to do: the drain has ended them. Replaces Daphne's, which fails during an upload."""


def _take_all_files() -> None:
    """Raise the number of open files to what the system allows: each connection is one, and 1024 are soon used up."""
    with contextlib.suppress(OSError, ValueError):
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
