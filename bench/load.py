"""Sends requests over raw connections, and checks of every answer that nothing is missing, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

STAMP = re.compile(rb"(\d+):(\d{10,});")
SECONDS = 60.0


@dataclass(frozen=True)
class Shot:
    """One kind of request; ``chunks``, ``interval`` and ``wait`` (milliseconds) are what the upstream is to send."""

    path: str = "/v1/chat/completions"
    stream: bool = True
    chunks: int = 1
    interval: int = 0
    wait: int = 0

    @property
    def is_openai(self) -> bool:
        """Whether this goes to hajimi; otherwise straight to the upstream."""
        return self.path.startswith("/v1/")

    def request(self, password: str) -> bytes:
        """Return the bytes of the request."""
        text = f"chunks={self.chunks} interval={self.interval} wait={self.wait}"
        if self.is_openai:
            messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
            document: object = {"model": "gemini-2.0-flash", "stream": self.stream, "messages": messages}
        else:
            document = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        body = json.dumps(document).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {password}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


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


async def fire(port: int, shot: Shot, *, password: str, connections: int, each: int) -> Tally:
    """Send ``each`` requests one after the other over each of so many connections."""
    tally = Tally()
    start = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(_connection(port, shot, shot.request(password), each, tally))
                # Paced streams start spread over one interval, or every chunk of all would come at one moment.
                await asyncio.sleep(shot.interval / 1000 / connections)
    except TimeoutError:
        tally.faults.append(f"not done after {SECONDS:g} s")
    tally.seconds = time.monotonic() - start
    return tally


async def _connection(port: int, shot: Shot, request: bytes, each: int, tally: Tally) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        for _ in range(each):
            writer.write(request)
            await _answer(reader, shot, tally)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        tally.faults.append(f"broken connection: {error!r}")
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, shot: Shot, tally: Tally) -> None:
    start = time.monotonic_ns()
    head = await reader.readuntil(b"\r\n\r\n")
    body = b""
    numbers: list[int] = []
    seen = 0
    async for data in _body(reader, head.lower()):
        now = time.monotonic_ns()
        body += data
        for stamp in STAMP.finditer(body, seen):
            seen = stamp.end()
            numbers.append(int(stamp[1]))
            tally.added.append((now - int(stamp[2])) / 1e6)
            if len(numbers) == 1:
                tally.first.append((now - start) / 1e6)
    tally.whole.append((time.monotonic_ns() - start) / 1e6)
    tally.answers += 1
    tally.chunks += len(numbers)
    if fault := _fault(shot, head, body, numbers):
        tally.faults.append(fault)


def _fault(shot: Shot, head: bytes, body: bytes, numbers: list[int]) -> str:
    """Return what is wrong with an answer, or ""."""
    if not head.startswith(b"HTTP/1.1 200"):
        return f"{head.splitlines()[0]!r} {body[:200]!r}"
    if numbers != list(range(shot.chunks)):
        return f"{len(numbers)} of {shot.chunks} chunks, or out of order: {numbers[:5]}..."
    if shot.is_openai and b'"finish_reason":"stop"' not in body.replace(b": ", b":"):
        return "no finish_reason"
    if shot.is_openai and shot.stream and not body.rstrip().endswith(b"data: [DONE]"):
        return f"no [DONE] at the end: {body[-80:]!r}"
    return ""


async def _body(reader: asyncio.StreamReader, head: bytes) -> AsyncIterator[bytes]:
    """Give the pieces of a body as they come."""
    if b"transfer-encoding: chunked" in head:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return
    length = re.search(rb"content-length: *(\d+)", head)
    if length is None:
        raise ValueError("an answer of unknown length")
    yield await reader.readexactly(int(length[1]))
