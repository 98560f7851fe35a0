"""Sends one answer over HTTP: paced, compressed or dripped as the script says, with its fault in its place."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from aiohttp import web

from tests.gemini.calls import Call
from tests.gemini.replies import Answer, Fault
from tests.gemini.wire import dump, frame, whole

JSON_TYPE = "application/json; charset=UTF-8"
SSE_TYPE = "text/event-stream"
DRIP_SECONDS = 0.001
ARRIVAL_SECONDS = 0.1


class Sender:
    """Sends ``events`` as the answer to ``call``.

    A fault's place counts the events of a stream; past the last it is before the stream's end. Within a
    whole document 1 is after its first byte, 2 after its first half.
    """

    def __init__(self, call: Call, request: web.Request, reply: Answer, events: list[Any]) -> None:
        self._call, self._request, self._reply, self._events = call, request, reply, events
        self._fault = reply.fault or Fault("bytes")

    async def send(self) -> web.StreamResponse:
        """Send it all, or as much as the fault lets through."""
        if self._reply.fault and self._fault.after is None:
            await self._break()
        pieces, content_type = self._pieces()
        response = self._headers(content_type, sum(map(len, pieces)))
        await response.prepare(self._request)
        self._call.status = 200
        await self._send_pieces(response, pieces)
        await response.write_eof()
        self._call.ended = "finished"
        return response

    def _pieces(self) -> tuple[list[bytes], str]:
        """Return what is written one after the other, and the content type."""
        if self._call.method == "generateContent":
            data = dump(whole(self._events))
            data = gzip.compress(data) if self._reply.gzip else data
            return [data[:1], data[1 : len(data) // 2], data[len(data) // 2 :]], JSON_TYPE
        if self._call.query.get("alt") == "sse":
            return [frame(event) for event in self._events], SSE_TYPE
        opened = [
            b"[" + dump(event) if index == 0 else b",\r\n" + dump(event) for index, event in enumerate(self._events)
        ]
        return [*(opened or [b"["]), b"]"], JSON_TYPE

    def _headers(self, content_type: str, length: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": content_type, "server": "scaffolding on HTTPServer2"})
        if self._call.method == "generateContent":
            if self._reply.gzip:
                response.headers["content-encoding"] = "gzip"
            if not self._reply.fault:
                response.content_length = length
        return response

    async def _send_pieces(self, response: web.StreamResponse, pieces: list[bytes]) -> None:
        streams = self._call.method != "generateContent"
        if not streams:
            await asyncio.sleep(self._reply.delay * (len(self._events) - 1))
        place = min(self._fault.after or 0, len(pieces))
        for index, piece in enumerate([*pieces, b""]):
            if self._reply.fault and self._fault.how != "wire" and index == place and await self._faulty(response):
                return
            if streams and self._reply.delay and 0 < index < len(pieces):
                await asyncio.sleep(self._reply.delay)
            await self._write(response, piece)

    async def _faulty(self, response: web.StreamResponse) -> bool:
        """Do what the script says goes wrong here; return whether the answer ends now."""
        if self._fault.how == "bytes":
            await response.write(self._fault.data)
        elif self._fault.how != "end":
            await self._break()
        return self._fault.how == "end"

    async def _break(self) -> None:
        transport = self._request.transport
        if self._fault.how == "wire" and transport is not None:
            transport.write(self._fault.data)
            return
        if self._fault.how == "babble" and transport is not None:
            self._call.ended = "broken"
            transport.write(self._fault.data)
            transport.close()
        if self._fault.how == "reset" and transport is not None:
            self._call.ended = "broken"
            # A client that has not read yet would lose what came before the break.
            await asyncio.sleep(ARRIVAL_SECONDS)
            transport.abort()
        # aiohttp cancels this handler when the connection is gone, whoever ended it.
        await asyncio.Event().wait()

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        size = self._reply.drip or len(data) or 1
        for start in range(0, len(data), size):
            await response.write(data[start : start + size])
            if self._reply.drip:
                await asyncio.sleep(DRIP_SECONDS)
        self._call.sent += bool(data)
