"""OpenAI's chat completions: HTTP -> plain values -> one exchange -> HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from proxy import errors, refusals, request_id
from proxy.api import ApiRequest, EventStream
from proxy.api_answers import envelope
from proxy.behaviour import Behaviour
from proxy.chats import ask_for
from proxy.relay import Exchange
from proxy.sse import HEARTBEAT
from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.openai import ChunkEncoder, fold
from proxy.translation.reply import Delta
from proxy.views.entrance import document_of, member_of, model_of

logger = logging.getLogger(__name__)


async def chat_completions(request: ApiRequest) -> HttpResponseBase:
    """POST /v1/chat/completions: one answer, whole or streamed."""
    member = member_of(request)
    runtime = request.house.runtime.current
    chat = _chat(request)
    ask = ask_for(request, member, chat, model_of(chat.model, runtime), "openai")
    exchange = request.house.relay.exchange(ask)
    try:
        if chat.stream:
            return await _streamed(request, exchange, chat, runtime.behaviour)
        return await _whole(request, exchange, chat)
    finally:
        request.answer_headers |= _headers(exchange)


def _chat(request: ApiRequest) -> Chat:
    try:
        return parse(document_of(request))
    except Invalid as error:
        raise refusals.invalid(error) from None


async def _whole(request: ApiRequest, exchange: Exchange, chat: Chat) -> HttpResponse:
    async with aclosing(exchange.run()) as run:
        deltas = [delta async for batch in run for delta in batch]
    document = fold(deltas, exchange.usage, _response_id(request), chat.model, int(request.started))
    return HttpResponse(orjson.dumps(document), content_type="application/json")


async def _streamed(request: ApiRequest, exchange: Exchange, chat: Chat, behaviour: Behaviour) -> HttpResponseBase:
    """Answer with a stream once there is something to send, or once the hold has ended."""
    encoder = ChunkEncoder(_response_id(request), chat.model, int(request.started), chat.include_usage)
    events = _Events(request.request_id, exchange, encoder)
    try:
        await events.hold(behaviour.headers_hold_seconds)
    except BaseException:
        await events.aclose()
        raise
    return EventStream(events, heartbeat=HEARTBEAT, heartbeat_seconds=behaviour.heartbeat_seconds)


class _Events:
    """The bytes of one streamed answer, read by read.

    Not a generator: one that was never started runs no ``finally``, and this holds a lease from ``hold`` on.
    """

    def __init__(self, number: int, exchange: Exchange, encoder: ChunkEncoder) -> None:
        self._number = number
        self._exchange = exchange
        self._encoder = encoder
        self._run = exchange.run()
        self._first: asyncio.Task[list[Delta] | None] | None = None
        self._over = False

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
            deltas = await self._deltas()
        except errors.HajimiError as error:
            return self._broken_off(error)
        except Exception:
            logger.exception("%s failed inside its stream", request_id.shown(self._number))
            return self._broken_off(errors.InternalError(refusals.UNEXPECTED))
        if deltas is not None:
            return self._encoder.encode(deltas)
        self._over = True
        return self._encoder.end(self._exchange.usage)

    async def aclose(self) -> None:
        """End the exchange, wherever it is; an attempt that still runs is cancelled upstream."""
        self._over = True
        if self._first is not None:
            self._first.cancel()
            await asyncio.wait({self._first})
        await self._run.aclose()

    async def _deltas(self) -> list[Delta] | None:
        first, self._first = self._first, None
        return await (first if first is not None else _next(self._run))

    def _broken_off(self, error: errors.HajimiError) -> bytes:
        self._over = True
        return self._encoder.error(envelope(error, self._number))


async def _next(run: AsyncGenerator[list[Delta], None]) -> list[Delta] | None:
    return await anext(run, None)


def _response_id(request: ApiRequest) -> str:
    return "chatcmpl-" + request_id.shown(request.request_id).removeprefix("req_")


def _headers(exchange: Exchange) -> dict[str, str]:
    """Return what an answer's headers tell about its exchange, good or bad."""
    headers = {"x-hajimi-attempts": str(exchange.attempt_count)}
    if allowance := exchange.allowance:
        headers["x-ratelimit-limit-requests"] = str(allowance.limit)
        headers["x-ratelimit-remaining-requests"] = str(allowance.remaining)
        headers["x-ratelimit-reset-requests"] = openai_duration(allowance.resets_in)
    return headers


def openai_duration(seconds: float) -> str:
    """Return ``seconds`` as OpenAI's rate limit headers write them: "120ms", "59s", "1h2m3s"."""
    if seconds < 1:
        return f"{max(math.ceil(seconds * 1000), 0)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if count)
