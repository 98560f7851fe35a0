"""Sends requests over raw connections, and checks of every answer that nothing is missing, doubled or out of order."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

STAMP = re.compile(rb"(\d+):(\d{10,});")
SECONDS = 60.0
IMAGE_BYTES = 2**20
NOTE = {
    "type": "function",
    "function": {"name": "note", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}


@dataclass(frozen=True)
class Shot:
    """One kind of request; ``chunks``, ``interval`` and ``wait`` (milliseconds) are what the upstream is to send.

    ``kind`` is "chat", "tools" (the answer ends in a call) or "image" (1 MB of it goes along). ``headers`` go with
    it, one name and value each.
    """

    path: str = "/v1/chat/completions"
    stream: bool = True
    chunks: int = 1
    interval: int = 0
    wait: int = 0
    kind: str = "chat"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's dialect; otherwise Google's."""
        return self.path.startswith("/v1/")

    def request(self, password: str) -> bytes:
        """Return the bytes of the request."""
        body = json.dumps(self._document()).encode()
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {password}\r\n"
            f"content-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _document(self) -> dict[str, Any]:
        text = f"chunks={self.chunks} interval={self.interval} wait={self.wait}"
        if not self.is_openai:
            return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        content: Any = text
        if self.kind == "image":
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": _image()}}]
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
        document: dict[str, Any] = {"model": "gemini-2.0-flash", "stream": self.stream, "messages": messages}
        return document | {"tools": [NOTE]} if self.kind == "tools" else document

    @property
    def finish(self) -> bytes:
        """How a whole answer says that it is one."""
        if not self.is_openai:
            return b'"finishReason":"STOP"'
        return b'"finish_reason":"tool_calls"' if self.kind == "tools" else b'"finish_reason":"stop"'


# The plain chat that most figures are of.
WHOLE = Shot(stream=False, chunks=20)


@lru_cache
def _image() -> str:
    data = b"\x89PNG\r\n\x1a\n" + bytes(IMAGE_BYTES)
    return "data:image/png;base64," + base64.b64encode(data).decode()


@dataclass
class Tally:
    """What came of all requests. Times are milliseconds; ``faults`` say what was wrong with an answer."""

    answers: int = 0
    chunks: int = 0
    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


async def fire(
    port: int, shot: Shot, *, password: str, connections: int, each: int, ends_with_done: bool = True
) -> Tally:
    """Send ``each`` requests one after the other over each of so many connections.

    Of other programs than hajimi a stream need not end with [DONE].
    """
    tally = Tally()
    request = shot.request(password)
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    clients: list[_Client] = []
    try:
        async with asyncio.timeout(SECONDS):
            for number in range(connections):
                client = _Client(shot, request, each, tally, ends_with_done)
                clients.append(client)
                await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
                # Paced streams start spread over one interval, or every chunk of all would come at one moment.
                begun = start + (number + 1) * shot.interval / 1000 / connections
                await asyncio.sleep(max(0.0, begun - time.monotonic()))
            await asyncio.gather(*(client.done for client in clients))
    except TimeoutError:
        tally.faults.append(f"not done after {SECONDS:g} s")
    except OSError as error:
        tally.faults.append(f"no connection: {error!r}")
    finally:
        for client in clients:
            client.close()
    tally.seconds = time.monotonic() - start
    return tally


class _Client(asyncio.Protocol):
    """One connection. As little work for each read as can be, so that the load is never the slowest part."""

    def __init__(self, shot: Shot, request: bytes, each: int, tally: Tally, ends_with_done: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shot = shot
        self._request = request
        self._left = each
        self._tally = tally
        self._ends_with_done = ends_with_done
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.set_write_buffer_limits(high=2**22)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._tally.faults.append(f"broken connection: {exc!r}")
            self.done.set_result(None)

    def close(self) -> None:
        """Hang up, wherever it is."""
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        self._data = bytearray()
        self._numbers: list[int] = []
        self._seen = 0
        self._size: int | None = None
        self._is_chunked = False
        self._start = time.monotonic_ns()
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._data += data
        for stamp in STAMP.finditer(self._data, self._seen):
            self._seen = stamp.end()
            self._numbers.append(int(stamp[1]))
            self._tally.added.append((now - int(stamp[2])) / 1e6)
            if len(self._numbers) == 1:
                self._tally.first.append((now - self._start) / 1e6)
        if self._is_whole():
            self._end()

    def _is_whole(self) -> bool:
        if self._size is None and not self._is_chunked:
            head, found, _ = bytes(self._data[:8192]).partition(b"\r\n\r\n")
            if not found:
                return False
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            self._is_chunked = length is None
            self._size = len(head) + 4 + int(length[1]) if length else None
        if self._is_chunked:
            return self._data.endswith(b"\r\n0\r\n\r\n")
        return self._size is not None and len(self._data) >= self._size

    def _end(self) -> None:
        tally = self._tally
        tally.whole.append((time.monotonic_ns() - self._start) / 1e6)
        tally.answers += 1
        tally.chunks += len(self._numbers)
        if fault := self._fault():
            tally.faults.append(fault)
        self._left -= 1
        if self._left:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def _fault(self) -> str:
        """Return what is wrong with the answer, or ""."""
        shot = self._shot
        head, _, body = bytes(self._data).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            return f"{head.splitlines()[0]!r} {body[:200]!r}"
        if self._numbers != list(range(shot.chunks)):
            return f"{len(self._numbers)} of {shot.chunks} chunks, or out of order: {self._numbers[:5]}..."
        try:
            body = _dechunked(body) if self._is_chunked else body
        except ValueError:
            return f"broken frames: {body[-80:]!r}"
        if shot.finish not in body.replace(b": ", b":"):
            return "no finish_reason"
        wants_done = shot.is_openai and shot.stream and self._ends_with_done
        if wants_done and not body.rstrip().endswith(b"data: [DONE]"):
            return f"no [DONE] at the end: {body[-80:]!r}"
        return ""


def _dechunked(body: bytes) -> bytes:
    """Return a chunked body without its frames. Raises ValueError when they are broken."""
    pieces: list[bytes] = []
    at = 0
    while True:
        line = body.index(b"\r\n", at)
        size = int(body[at:line].split(b";")[0], 16)
        if not size:
            return b"".join(pieces)
        end = line + 2 + size
        if body[end : end + 2] != b"\r\n":
            raise ValueError("a frame of another length than it says")
        pieces.append(body[line + 2 : end])
        at = end + 2
