"""From an exchange to HTTP, for every dialect: streamed as it comes, or collected whole."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Protocol, Self

from proxy import errors, refusals, request_id
from proxy.api import ApiRequest, EventStream
from proxy.api_answers import envelope
from proxy.behaviour import Behaviour
from proxy.paths import Dialect
from proxy.relay import Exchange
from proxy.translation.reply import Delta, Usage

logger = logging.getLogger(__name__)


class Encoder(Protocol):
    """Writes deltas in the words of one dialect: proxy.translation.openai.ChunkEncoder, for one."""

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return what one batch looks like on the wire."""

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer."""

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off."""


async def collected(request: ApiRequest, exchange: Exchange) -> list[Delta]:
    """Return all deltas of the answer, its log row committed. Raises HajimiError."""
    try:
        async with aclosing(exchange.run()) as run:
            return [delta async for batch in run for delta in batch]
    finally:
        request.answer_headers |= headers(exchange)


async def streamed(
    request: ApiRequest,
    exchange: Exchange,
    encoder: Encoder,
    behaviour: Behaviour,
    *,
    dialect: Dialect,
    heartbeat: bytes | None,
    content_type: str = "text/event-stream; charset=utf-8",
) -> EventStream:
    """Return a stream once there is something to send, or once the hold has ended.

    Raises HajimiError while the answer can still have a true HTTP status.
    """
    events = _Events(request.request_id, exchange, encoder, dialect)
    try:
        await events.hold(behaviour.headers_hold_seconds)
    except BaseException:
        await events.aclose()
        raise
    finally:
        request.answer_headers |= headers(exchange)
    return EventStream(
        events,
        heartbeat=heartbeat,
        heartbeat_seconds=behaviour.heartbeat_seconds,
        content_type=content_type,
        ending=events.ending,
    )


class _Events:
    """The bytes of one streamed answer, read by read.

    Not a generator: one that was never started runs no ``finally``, and this holds a lease from ``hold`` on.
    """

    def __init__(self, number: int, exchange: Exchange, encoder: Encoder, dialect: Dialect) -> None:
        self._number = number
        self._exchange = exchange
        self._encoder = encoder
        self._dialect = dialect
        self._run = exchange.run()
        self._first: asyncio.Task[list[Delta] | None] | None = None
        self._over = False
        self._last = b""

    async def hold(self, seconds: float) -> None:
        """Wait for the first output at most ``seconds``. Raises HajimiError, for a true HTTP status."""
        self._first = asyncio.create_task(_next(self._run))
        await asyncio.wait({self._first}, timeout=seconds)
        if self._first.done():
            self._first.result()
        self._exchange.headers_out()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            if self._first is None:
                deltas = await anext(self._run, None)
            else:
                first, self._first = self._first, None
                deltas = await first
        except errors.HajimiError as error:
            return self._broken_off(error)
        except Exception:
            logger.exception("%s failed inside its stream", request_id.shown(self._number))
            return self._broken_off(errors.InternalError(refusals.UNEXPECTED))
        if deltas is not None:
            return self._encoder.encode(deltas)
        self._over = True
        self._last = self._encoder.end(self._exchange.usage)
        raise StopAsyncIteration

    def ending(self) -> bytes:
        """Return what closes a whole answer: it goes out with the end of the body, in one write."""
        return self._last

    async def aclose(self) -> None:
        """End the exchange, wherever it is; an attempt that still runs is cancelled upstream."""
        self._over = True
        if self._first is not None:
            self._first.cancel()
            await asyncio.wait({self._first})
        await self._run.aclose()

    def _broken_off(self, error: errors.HajimiError) -> bytes:
        self._over = True
        return self._encoder.error(envelope(error, self._number, self._dialect))


async def _next(run: AsyncGenerator[list[Delta], None]) -> list[Delta] | None:
    return await anext(run, None)


def headers(exchange: Exchange) -> dict[str, str]:
    """Return what an answer's headers tell about its exchange, good or bad."""
    told = {"x-hajimi-attempts": str(exchange.attempt_count)}
    if allowance := exchange.allowance:
        told["x-ratelimit-limit-requests"] = str(allowance.limit)
        told["x-ratelimit-remaining-requests"] = str(allowance.remaining)
        told["x-ratelimit-reset-requests"] = openai_duration(allowance.resets_in)
    return told


def openai_duration(seconds: float) -> str:
    """Return ``seconds`` as OpenAI's rate limit headers write them: "120ms", "59s", "6m0s"."""
    if seconds < 1:
        return f"{max(math.ceil(seconds * 1000), 0)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
