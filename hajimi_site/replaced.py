"""Which functions of Twisted and Daphne ours stand in for, each with a link to the line, as it was read.

Nothing is changed in those libraries: ours are methods of subclasses (Transport, Channel, Exchange, Server), beside
what they work with, and this table tells them apart from methods of our own. tests/unit/test_replaced.py fails when a
function is not what was read any more, and when a method of ours that overrides one of theirs is missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final, NamedTuple

# The versions that were read; requirements.txt locks them.
READ: Final[Mapping[str, str]] = MappingProxyType({"daphne": "4.2.3", "twisted": "26.10.0"})


class Replaced(NamedTuple):
    """One function of theirs, whether ours takes its place, wraps it, or leans on how it works.

    ``ours`` is a module of hajimi_site and a name there, ``theirs`` a module and a name; ``fingerprint`` is the
    beginning of the SHA-256 of its source.
    """

    ours: str
    theirs: str
    fingerprint: str
    link: str


def unread(installed: Callable[[str], str] = version) -> str:
    """Return what is installed in another version than was read, as words for the log; "" when all was read."""
    others = ((name, read, installed(name)) for name, read in READ.items())
    return ", ".join(f"{name} {found} (read: {read})" for name, read, found in others if found != read)


REPLACED: Final = (
    Replaced(
        "transport:Transport.write",
        "twisted.internet._newtls:ConnectionMixin.write",
        "ea311df0946d",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/_newtls.py#L171",
    ),
    Replaced(
        "transport:Transport.write",
        "twisted.internet.abstract:FileDescriptor.write",
        "3e46c97fc173",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/abstract.py#L394",
    ),
    Replaced(
        "transport:Transport.writeSequence",
        "twisted.internet._newtls:ConnectionMixin.writeSequence",
        "a892b82c72b8",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/_newtls.py#L182",
    ),
    Replaced(
        "transport:Transport.writeSequence",
        "twisted.internet.abstract:FileDescriptor.writeSequence",
        "1606f230d318",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/abstract.py#L411",
    ),
    Replaced(
        "transport:Transport.waiting",
        "twisted.internet.abstract:FileDescriptor.doWrite",
        "a986d7b1b105",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/abstract.py#L271",
    ),
    Replaced(
        "transport:Transport.waiting",
        "twisted.internet.abstract:FileDescriptor._maybePauseProducer",
        "529bd8438e1a",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/abstract.py#L382",
    ),
    Replaced(
        "transport:Transport.writeSomeData",
        "twisted.internet.tcp:Connection.writeSomeData",
        "2dd0d4209260",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/internet/tcp.py#L293",
    ),
    Replaced(
        "channel:Channel.__init__",
        "twisted.web.http:HTTPChannel.__init__",
        "3c799fc1cbf9",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2340",
    ),
    Replaced(
        "channel:Channel.connectionMade",
        "twisted.web.http:HTTPChannel.connectionMade",
        "95b71a1bc3ab",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2347",
    ),
    Replaced(
        "channel:Channel.getPeer",
        "twisted.web.http:HTTPChannel.getPeer",
        "26891fdf6714",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2801",
    ),
    Replaced(
        "channel:Channel.getHost",
        "twisted.web.http:HTTPChannel.getHost",
        "bbbb5c6e21c9",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2809",
    ),
    Replaced(
        "channel:Channel.connectionLost",
        "twisted.web.http:HTTPChannel.connectionLost",
        "d0850abf8e2e",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2719",
    ),
    Replaced(
        "channel:Channel.dataReceived",
        "twisted.web.http:HTTPChannel.dataReceived",
        "152316e9ce50",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2356",
    ),
    Replaced(
        "channel:Channel.is_body_coming",
        "twisted.web.http:HTTPChannel.rawDataReceived",
        "e31f4ed81196",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2570",
    ),
    Replaced(
        "channel:Channel.allHeadersReceived",
        "twisted.web.http:HTTPChannel.allHeadersReceived",
        "979a9a8410f4",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2611",
    ),
    Replaced(
        "channel:Channel.checkPersistence",
        "twisted.web.http:HTTPChannel.checkPersistence",
        "3f0cb5b5a40e",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2626",
    ),
    Replaced(
        "channel:Channel.allContentReceived",
        "twisted.web.http:HTTPChannel.allContentReceived",
        "9f7c99069687",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2519",
    ),
    Replaced(
        "channel:Channel.requestDone",
        "twisted.web.http:HTTPChannel.requestDone",
        "a75a186c66f7",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2669",
    ),
    Replaced(
        "channel:Channel.lineLengthExceeded",
        "twisted.protocols.basic:LineReceiver.lineLengthExceeded",
        "0cb67c8ef953",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/protocols/basic.py#L609",
    ),
    Replaced(
        "channel:Channel._respondToBadRequestAndDisconnect",
        "twisted.web.http:HTTPChannel._respondToBadRequestAndDisconnect",
        "c7ccc0f4450a",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2958",
    ),
    Replaced(
        "channel:Channel.room",
        "twisted.web.http:HTTPChannel.pauseProducing",
        "8fe306cf284b",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2897",
    ),
    Replaced(
        "channel:Channel.resumeProducing",
        "twisted.web.http:HTTPChannel.resumeProducing",
        "561ac237d346",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2932",
    ),
    Replaced(
        "exchange:Exchange.__init__",
        "twisted.web.http:Request.__init__",
        "2d3f7dbd28d0",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L922",
    ),
    Replaced(
        "exchange:Exchange.parseCookies",
        "twisted.web.http:Request.parseCookies",
        "742266180dff",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1008",
    ),
    Replaced(
        "exchange:Exchange.gotLength",
        "twisted.web.http:Request.gotLength",
        "1c389b99da50",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L996",
    ),
    Replaced(
        "exchange:Exchange.handleContentChunk",
        "twisted.web.http:Request.handleContentChunk",
        "6e942756afb7",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1029",
    ),
    Replaced(
        "exchange:Exchange.requestReceived",
        "twisted.web.http:Request.requestReceived",
        "99ca6c5e2430",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1037",
    ),
    Replaced(
        "exchange:Exchange.requestReceived",
        "daphne.http_protocol:WebRequest.process",
        "e9babd1c97ce",
        "https://github.com/django/daphne/blob/4.2.3/daphne/http_protocol.py#L63",
    ),
    Replaced(
        "exchange:Exchange.reply",
        "twisted.web.http:Request.write",
        "0e547d4f76bd",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1248",
    ),
    Replaced(
        "exchange:Exchange.reply",
        "daphne.http_protocol:WebRequest.handle_reply",
        "3e14b239c260",
        "https://github.com/django/daphne/blob/4.2.3/daphne/http_protocol.py#L234",
    ),
    Replaced(
        "exchange:Exchange._begin",
        "twisted.web.http:HTTPChannel.writeHeaders",
        "3521e56c0fe2",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L2743",
    ),
    Replaced(
        "exchange:Exchange.finish",
        "twisted.web.http:Request.finish",
        "4590c5f7e220",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1219",
    ),
    Replaced(
        "exchange:Exchange.finish",
        "twisted.web.http:Request._cleanup",
        "3e4358e4df9c",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L957",
    ),
    Replaced(
        "exchange:Exchange.connectionLost",
        "twisted.web.http:Request.connectionLost",
        "e874acaf9f19",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L1726",
    ),
    Replaced(
        "upgrade:to_websocket",
        "daphne.http_protocol:WebRequest.process",
        "e9babd1c97ce",
        "https://github.com/django/daphne/blob/4.2.3/daphne/http_protocol.py#L63",
    ),
    Replaced(
        "server:Factory.__init__",
        "twisted.web.http:HTTPFactory.__init__",
        "20dc7444c419",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L3350",
    ),
    Replaced(
        "server:Factory.buildProtocol",
        "twisted.web.http:HTTPFactory.buildProtocol",
        "d08b3853c627",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L3429",
    ),
    Replaced(
        "server:Factory.startFactory",
        "twisted.web.http:HTTPFactory.startFactory",
        "7e8ca54bce4a",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L3446",
    ),
    Replaced(
        "server:Factory.stopFactory",
        "twisted.web.http:HTTPFactory.stopFactory",
        "02cfe270da01",
        "https://github.com/twisted/twisted/blob/twisted-26.10.0/src/twisted/web/http.py#L3455",
    ),
    Replaced(
        "server:Server.__init__",
        "daphne.server:Server.__init__",
        "e090af1e2673",
        "https://github.com/django/daphne/blob/4.2.3/daphne/server.py#L47",
    ),
    Replaced(
        "server:Server.run",
        "daphne.server:Server.run",
        "447c6bd42c62",
        "https://github.com/django/daphne/blob/4.2.3/daphne/server.py#L100",
    ),
    Replaced(
        "server:Server.start",
        "daphne.server:Server.create_application",
        "f1e300b4ecf6",
        "https://github.com/django/daphne/blob/4.2.3/daphne/server.py#L204",
    ),
    Replaced(
        "server:Server.kill_all_applications",
        "daphne.server:Server.kill_all_applications",
        "4e1618c6f787",
        "https://github.com/django/daphne/blob/4.2.3/daphne/server.py#L316",
    ),
)
