"""What every server of ours serves, and within which limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.utils.translation import gettext_noop as _

from hajimi_site.addresses import Edge
from hajimi_site.supervisor import listening_socket, why_not

Message = dict[str, Any]

# After the drain: for streams to say goodbye.
FAREWELL_SECONDS: Final = 5.0
SHUTTING_DOWN: Final = _("This server is shutting down; try again in a moment.")
TOO_MANY_AT_ONCE: Final = _(
    "Your address has %(limit)s requests running already, as many as this server takes from one; "
    "try again when one has ended."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. Times in seconds."""

    body_bytes: int
    drain_seconds: float = 20.0
    idle_seconds: float = 60.0
    keep_alive_seconds: float = 75.0
    stall_seconds: float = 30.0
    at_once_per_address: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a server is told: where to listen, whom to believe, what to allow, and who hears its port once it listens.

    ``listener`` is a socket that listens already, in place of ``host`` and ``port``; ``new_loop`` makes the event loop,
    where it is not asyncio's own.
    """

    host: str
    port: int
    limits: Limits
    edge: Edge
    on_ready: Callable[[int], None]
    listener: socket.socket | None = None
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None


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


def listener(terms: Terms) -> socket.socket:
    """Return the socket that a server of ``terms`` listens on. Raises CannotListen."""
    if terms.listener is not None:
        return terms.listener
    try:
        return listening_socket(terms.host, terms.port)
    except (OSError, UnicodeError) as error:
        raise CannotListen(why_not(terms.host, terms.port, error)) from None
