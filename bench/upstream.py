"""A Gemini that costs next to nothing and stamps what it sends: `python -m bench.upstream`, in a process of its own.

Not the simulator of tests/gemini: each piece of text carries its number and the moment it was sent, so that
loss, order and added time can be checked; and it must never be the slowest part (raw asyncio, no judge, no records).
A prompt says what is wanted: ``chunks=60 interval=50 wait=0`` (milliseconds).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

WANTED = re.compile(rb"chunks=(\d+) interval=(\d+) wait=(\d+)")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
USAGE = '"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":%d,"totalTokenCount":%d}'
TAIL = ',%s,"modelVersion":"gemini-2.0-flash","responseId":"bench"}'
MODELS = [
    {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"], "outputTokenLimit": 8192}
    for name in ("gemini-2.0-flash", "gemini-2.0-flash-lite")
]


class Upstream(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self) -> None:
        self._data = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        length = int(match[1]) if found and (match := LENGTH.search(head)) else 0
        if not found or len(rest) < length:
            return
        body, self._data = rest[:length], rest[length:]
        self._task = asyncio.ensure_future(self._answer(head.split(b" ", 2)[1], body))

    async def _answer(self, path: bytes, body: bytes) -> None:
        if b":" not in path:
            self._send_whole(json.dumps({"models": MODELS}).encode())
            return
        wanted = WANTED.search(body)
        chunks, interval, wait = (int(number) for number in wanted.groups()) if wanted else (1, 0, 0)
        if wait:
            await asyncio.sleep(wait / 1000)
        if b":stream" in path:
            await self._stream(chunks, interval / 1000)
        else:
            text = "".join(_stamp(number) for number in range(chunks))
            self._send_whole(_event(text, chunks, True).encode())

    async def _stream(self, chunks: int, interval: float) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        start = asyncio.get_running_loop().time()
        for number in range(chunks):
            if interval and number:
                # By the clock, not by pauses: a late chunk must not make all later ones late.
                await asyncio.sleep(start + number * interval - asyncio.get_running_loop().time())
            event = _event(_stamp(number), number + 1, number + 1 == chunks)
            frame = b"data: " + event.encode() + b"\r\n\r\n"
            self._transport.write(b"%x\r\n%b\r\n" % (len(frame), frame))
        self._transport.write(b"0\r\n\r\n")

    def _send_whole(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


def _stamp(number: int) -> str:
    return f"{number}:{time.monotonic_ns()}; "


def _event(text: str, tokens: int, is_last: bool) -> str:
    finish = '"finishReason":"STOP",' if is_last else ""
    head = f'{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},{finish}"index":0}}]'
    return head + TAIL % (USAGE % (tokens, tokens + 9))


async def main() -> None:
    """Listen on a free port, print it, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
