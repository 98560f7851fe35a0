"""Clients that are gone without a word: the kernel finds them, and ends their connections."""

from __future__ import annotations

import socket
from typing import Final

# As long as a client that does not read is waited for (hajimi_site.serving: Limits.stall_seconds): the kernel counts a
# closed window, too. A phone may lose its network for a while, in a tunnel or a lift; half of it would be little.
GONE_SECONDS: Final = 30

# Silent connections, those that wait for a whole answer, are asked after 15 s, and every 5 s from then on. Bytes that
# are sent need no question: whoever does not acknowledge them is gone after TCP_USER_TIMEOUT, which on Linux also says
# when enough questions were asked (https://man7.org/linux/man-pages/man7/tcp.7.html). TCP_KEEPALIVE is macOS's name.
_OPTIONS: Final = (
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPALIVE", 15),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", GONE_SECONDS * 1000),
)


def notice_the_gone(listening: socket.socket) -> None:
    """Let every connection accepted from ``listening`` end when its client has been gone for GONE_SECONDS."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        # No system has all of them.
        if option := getattr(socket, name, None):
            listening.setsockopt(socket.IPPROTO_TCP, option, value)
