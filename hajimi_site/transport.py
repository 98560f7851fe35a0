"""A TCP connection that sends at once what can be sent, and knows since when its client has not read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from twisted.internet import tcp


class Transport(tcp.Server):  # type: ignore[misc]
    """One accepted connection.

    Twisted queues every write and waits for the next turn of the loop to send it, which is nearly half of the cost
    of a streamed chunk. Here bytes go to the socket at once when nothing waits before them.
    """

    # When bytes last moved while some were waiting (time.monotonic).
    moved_at = 0.0

    @property
    def waiting(self) -> int:
        """Bytes that the client has not yet taken from us."""
        waiting: int = len(self.dataBuffer) - self.offset + self._tempDataLen
        return waiting

    def write(self, data: bytes) -> None:
        """Send ``data``, now if possible.

        Replaces twisted.internet._newtls.ConnectionMixin.write (FileDescriptor.write for plain TCP).
        """
        if not self.connected or self._writeDisconnected or self._aborting:
            return
        if self.waiting:
            tcp.Connection.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            # No room, or a lost connection: Twisted's own writing waits, or finds out and tells everybody.
            sent = 0
        if sent < len(data):
            self.moved_at = time.monotonic()
            tcp.Connection.write(self, data[sent:] if sent else data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:  # noqa: N802 - Twisted's name
        """Send the pieces in one go. Replaces the writeSequence of the same classes."""
        self.write(b"".join(iovec))

    def writeSomeData(self, data: bytes) -> Any:  # noqa: N802 - Twisted's name
        """Send some of what waits; Twisted calls this when the socket has room."""
        sent = super().writeSomeData(data)
        if isinstance(sent, int) and sent > 0:
            self.moved_at = time.monotonic()
        return sent


class Port(tcp.Port):  # type: ignore[misc]
    """A listening port whose connections are ours."""

    transport = Transport
