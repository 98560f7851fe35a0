"""/healthz and /readyz, answered beside Django so that they need no thread and no known host name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from django.db import Error, connection, connections

from proxy.api import House
from proxy.api_answers import NOSNIFF

PATHS: Final = frozenset({"/healthz", "/readyz"})
DATABASE_SECONDS: Final = 3.0
# A flood of probes asks the database once a second.
FRESH_SECONDS: Final = 1.0
NOTHING: Final = ((b"allow", b"GET, HEAD"), (b"content-length", b"0"))


class Health:
    """Says whether this process lives, and whether it can serve."""

    def __init__(self, house: House, shared_fault: Callable[[], Awaitable[str]] | None = None) -> None:
        self._house = house
        self._shared_fault = shared_fault
        self._asked_at = float("-inf")
        self._database = ""
        self._lock = asyncio.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a probe: 200, or 503 with the reason; other methods 405."""
        if scope["method"] not in {"GET", "HEAD"}:
            await send({"type": "http.response.start", "status": 405, "headers": NOTHING})
            await send({"type": "http.response.body", "body": b""})
            return
        reason = "" if scope["path"] == "/healthz" else await self.reason()
        document = {"status": "unready", "reason": reason} if reason else {"status": "ok"}
        body = b"" if scope["method"] == "HEAD" else orjson.dumps(document)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), NOSNIFF]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": 503 if reason else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def reason(self) -> str:
        """Return why this process cannot serve, or "" when it can."""
        house = self._house
        if house.draining or not house.ready:
            return "stopping" if house.draining else "starting"
        if fault := await self._database_fault():
            return fault
        if self._shared_fault is not None and await self._shared_fault():
            return "Redis does not answer"
        if house.journal.is_full:
            return "the journal is full"
        return "" if house.pool.usable(time.time()) else "no usable key"

    async def _database_fault(self) -> str:
        async with self._lock:
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._database = await _ask_database()
                self._asked_at = time.monotonic()
        return self._database


async def _ask_database() -> str:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await asyncio.to_thread(_select_one)
    except (Error, TimeoutError, OSError):
        return "the database does not answer"
    return ""


def _select_one() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connections.close_all()
