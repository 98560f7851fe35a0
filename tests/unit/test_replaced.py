"""The functions of Twisted and Daphne that hajimi_site replaces: when one of them changes, look at ours again."""

from __future__ import annotations

import hashlib
import inspect

import pytest
from daphne.http_protocol import WebRequest
from daphne.server import Server
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection
from twisted.web.http import HTTPChannel, Request

# Our side: transport.Transport, channel.Channel, exchange.Exchange, server.Server, upgrade.to_websocket.
REPLACED = {
    FileDescriptor.write: "3e46c97fc173",
    FileDescriptor.writeSequence: "1606f230d318",
    FileDescriptor.doWrite: "a986d7b1b105",
    FileDescriptor._maybePauseProducer: "529bd8438e1a",
    Connection.writeSomeData: "2dd0d4209260",
    HTTPChannel.allHeadersReceived: "979a9a8410f4",
    HTTPChannel.allContentReceived: "9f7c99069687",
    HTTPChannel.requestDone: "a75a186c66f7",
    HTTPChannel.pauseProducing: "8fe306cf284b",
    HTTPChannel.resumeProducing: "561ac237d346",
    HTTPChannel.rawDataReceived: "e31f4ed81196",
    HTTPChannel.writeHeaders: "3521e56c0fe2",
    HTTPChannel._respondToBadRequestAndDisconnect: "c7ccc0f4450a",
    Request.gotLength: "1c389b99da50",
    Request.requestReceived: "99ca6c5e2430",
    Request.write: "0e547d4f76bd",
    Request.finish: "4590c5f7e220",
    Request._cleanup: "3e4358e4df9c",
    Request.connectionLost: "e874acaf9f19",
    WebRequest.process: "e9babd1c97ce",
    WebRequest.handle_reply: "3e14b239c260",
    Server.run: "447c6bd42c62",
    Server.create_application: "f1e300b4ecf6",
    Server.kill_all_applications: "4e1618c6f787",
}


def fingerprint(function: object) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize("function", REPLACED, ids=lambda function: function.__qualname__)
def test_what_we_replace_is_still_what_we_have_read(function):
    assert fingerprint(function) == REPLACED[function], "it has changed upstream: read it, then note its fingerprint"
