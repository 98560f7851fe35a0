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
from collections import deque

WANTED = re.compile(rb"chunks=(\d+) interval=(\d+) wait=(\d+)")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
USAGE = '"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":%d,"totalTokenCount":%d}'
TAIL = ',%s,"modelVersion":"gemini-2.0-flash","responseId":"bench"}'
CALL = ',{"functionCall":{"name":"note","args":{"text":"done"}}}'
MODELS = [
    {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"], "outputTokenLimit": 8192}
    for name in ("gemini-2.0-flash", "gemini-2.0-flash-lite")
]


class Upstream(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._need = 0
        self._task: asyncio.Task[None] | None = None
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < self._need:
            return
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        match = LENGTH.search(self._data, 0, end)
        self._need = end + 4 + (int(match[1]) if match else 0)
        if len(self._data) < self._need:
            return
        request, self._data, self._need = bytes(self._data[: self._need]), self._data[self._need :], 0
        self._begin(request.split(b" ", 2)[1], request[end + 4 :])

    def _begin(self, path: bytes, body: bytes) -> None:
        if b":" not in path.partition(b"?")[0]:
            self._send_whole(json.dumps({"models": MODELS}).encode())
            return
        wanted = WANTED.search(body)
        chunks, interval, wait = (int(number) for number in wanted.groups()) if wanted else (1, 0, 0)
        answer = Answer(self, chunks, interval / 1000, is_call=b'"functionDeclarations"' in body)
        act = answer.stream if b":stream" in path else answer.send_whole
        if wait:
            asyncio.get_running_loop().call_later(wait / 1000, act)
        else:
            act()

    def write(self, data: bytes) -> None:
        """Send, if somebody is there."""
        if self.is_open:
            self._transport.write(data)

    def _send_whole(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: %d\r\n\r\n"
        self.write(head % len(body) + body)


class Answer:
    """One answer of so many pieces; with ``is_call`` it ends in the call of a function."""

    def __init__(self, connection: Upstream, chunks: int, interval: float, *, is_call: bool) -> None:
        self.interval = interval
        self.due = 0.0
        self._connection = connection
        self._chunks = chunks
        self._call = CALL if is_call else ""
        self._next = 0

    def send_whole(self) -> None:
        """Send everything in one document."""
        text = "".join(_stamp(number) for number in range(self._chunks))
        self._connection._send_whole(_event(text, self._chunks, True, self._call).encode())

    def stream(self) -> None:
        """Begin a stream; the pacer sends the rest."""
        self._connection.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        if self.interval:
            self.due = asyncio.get_running_loop().time()
            Pacer.of(self.interval).add(self)
        else:
            while self.send_next():
                pass

    def send_next(self) -> bool:
        """Send one event; False when it was the last, or nobody is there."""
        number, self._next = self._next, self._next + 1
        is_last = self._next == self._chunks
        event = _event(_stamp(number), self._next, is_last, self._call if is_last else "")
        frame = b"data: " + event.encode() + b"\r\n\r\n"
        self._connection.write(b"%x\r\n%b\r\n" % (len(frame), frame) + (b"0\r\n\r\n" if is_last else b""))
        return not is_last and self._connection.is_open


class Pacer:
    """Sends the events of all streams of one interval, each at its own moment: a timer for each would cost too much."""

    pacers: dict[float, Pacer] = {}

    @classmethod
    def of(cls, interval: float) -> Pacer:
        """Return the pacer of an interval."""
        return cls.pacers.setdefault(interval, cls())

    def __init__(self) -> None:
        self._waiting: deque[Answer] = deque()
        self._is_set = False

    def add(self, answer: Answer) -> None:
        """Send this answer's first event now, and the others by the clock."""
        if answer.send_next():
            answer.due += answer.interval
            self._waiting.append(answer)
            self._set()

    def _set(self) -> None:
        if self._waiting and not self._is_set:
            self._is_set = True
            asyncio.get_running_loop().call_at(self._waiting[0].due, self._tick)

    def _tick(self) -> None:
        self._is_set = False
        now = asyncio.get_running_loop().time()
        # All have one interval, so who was sent to first is due first again.
        while self._waiting and self._waiting[0].due <= now:
            answer = self._waiting.popleft()
            if answer.send_next():
                answer.due += answer.interval
                self._waiting.append(answer)
        self._set()


def _stamp(number: int) -> str:
    return f"{number}:{time.monotonic_ns()}; "


def _event(text: str, tokens: int, is_last: bool, call: str = "") -> str:
    finish = '"finishReason":"STOP",' if is_last else ""
    head = f'{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}{call}],"role":"model"}},{finish}"index":0}}]'
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
