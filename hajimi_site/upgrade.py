"""Hands a connection over to Daphne's websocket protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daphne.utils import INVALID_HEADER_VALUE_BYTES
from django.utils.translation import gettext_noop as _

from proxy.errors import BadRequest, NotReady

if TYPE_CHECKING:
    from hajimi_site.exchange import Exchange


def to_websocket(exchange: Exchange, body: bytes) -> None:
    """Let the websocket protocol read the request again, and own the connection from now on.

    Replaces the websocket half of daphne.http_protocol.WebRequest.process. The protocol splits headers at
    everything str.splitlines knows, so such bytes are refused first.
    """
    headers = exchange.headers()
    if any(INVALID_HEADER_VALUE_BYTES.intersection(value) for _name, value in headers):
        exchange.refuse(BadRequest(_("A header has characters that are not allowed there.")))
        return
    protocol = exchange.server.ws_factory.buildProtocol(exchange.client)
    if protocol is None:
        exchange.refuse(NotReady(_("This server takes no websocket now.")))
        return
    channel, transport = exchange.connection, exchange.connection.transport
    channel.is_websocket = True
    protocol._raw_query_string = exchange.query
    transport.protocol = protocol
    protocol.makeConnection(transport)
    lines = [b"%b %b HTTP/1.1" % (exchange.method, exchange.uri), *(b"%b: %b" % header for header in headers)]
    protocol.dataReceived(b"\r\n".join([*lines, b"", b""]) + body)
    channel._networkProducer.resumeProducing()
