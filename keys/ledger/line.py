"""The line to Redis: all calls that have come meanwhile go in one trip, and none is lost with its caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from keys.ledger import Away
from keys.ledger.scripts import Script

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 1.0
# After a failed trip nobody waits for the next failure: calls are refused at once for so long.
PAUSE_SECONDS: Final = 0.5
LARGEST_BATCH: Final = 200

Value = str | bytes | int | float


def connect(url: str) -> Redis:
    """Return a client of the Redis (or Valkey) at ``url``; nothing is asked yet. Raises ValueError for a bad one."""
    # One more try at once: a connection that Redis closed while it was idle fails the first time.
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    client: Redis = Redis.from_url(
        url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS, retry=retry
    )
    return client


@dataclass(slots=True)
class _Call:
    script: Script
    keys: Sequence[str]
    values: Sequence[Value]
    answer: asyncio.Future[Any]


class Line:
    """Calls scripts of Redis, in the order in which they were posted.

    ``scripts`` are loaded whenever Redis lacks one: it is new, or was started anew. Then ``marks`` are deleted first,
    keys that say what this Redis has been told.
    """

    def __init__(self, client: Redis, scripts: Iterable[Script], marks: Sequence[str] = ()) -> None:
        self.client = client
        self.fault = ""
        # True when it answers and will not let us in: waiting does not help.
        self.is_refused = False
        self._scripts = tuple(scripts)
        self._marks = tuple(marks)
        self._waiting: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._refusing_until = 0.0

    def post(self, script: Script, keys: Sequence[str], values: Sequence[Value]) -> asyncio.Future[Any]:
        """Put a call on the line and return its answer to come, which may raise Away.

        The call is made whatever becomes of the caller; one who may be cancelled awaits a shield of it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        answer.add_done_callback(_look)
        if self.fault and loop.time() < self._refusing_until:
            answer.set_exception(Away(self.fault, never_sent=True))
            return answer
        self._waiting.append(_Call(script, keys, values, answer))
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send())
        return answer

    async def ping(self) -> str:
        """Return why Redis cannot be used, "" when it answers."""
        try:
            await self.client.ping()
        except (RedisError, OSError) as error:
            self._note(error)
        else:
            self._note(None)
        return self.fault

    async def aclose(self) -> None:
        """Send what waits, and hang up."""
        if self._sender is not None:
            await self._sender
        await self.client.aclose()

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            try:
                await self._trip(batch)
            except (RedisError, OSError) as error:
                self._note(error)
                for call in batch:
                    _settle(call, Away(self.fault))

    async def _trip(self, batch: Sequence[_Call]) -> None:
        answers = await self._ask(batch)
        unknown = [call for call, answer in zip(batch, answers, strict=True) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._introduce()
            again = iter(await self._ask(unknown))
            answers = [next(again) if isinstance(answer, NoScriptError) else answer for answer in answers]
        faults = [answer for answer in answers if isinstance(answer, Exception)]
        self._note(faults[0] if faults else None)
        for call, answer in zip(batch, answers, strict=True):
            _settle(call, Away(self.fault) if isinstance(answer, Exception) else answer)

    async def _ask(self, calls: Sequence[_Call]) -> list[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.values)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _introduce(self) -> None:
        pipeline = self.client.pipeline(transaction=True)
        if self._marks:
            pipeline.delete(*self._marks)
        for each in self._scripts:
            pipeline.script_load(each.text)
        await pipeline.execute()

    def _note(self, error: Exception | None) -> None:
        before = self.fault
        self.fault = _told(error) if error is not None else ""
        self.is_refused = isinstance(error, AuthenticationError | AuthorizationError)
        if self.fault:
            self._refusing_until = asyncio.get_running_loop().time() + PAUSE_SECONDS
        if self.fault and not before:
            logger.warning("Redis cannot be used: %s", self.fault)
        elif before and not self.fault:
            logger.info("Redis answers again.")


def _told(error: Exception) -> str:
    # Messages of redis-py name host and port, never the password.
    text = str(error).partition("\n")[0][:200]
    if isinstance(error, AuthenticationError | AuthorizationError):
        return f"it refuses the password ({text})"
    return text or type(error).__name__


def _settle(call: _Call, answer: Any) -> None:
    if call.answer.done():
        return
    if isinstance(answer, Exception):
        call.answer.set_exception(answer)
    else:
        call.answer.set_result(answer)


def _look(answer: asyncio.Future[Any]) -> None:
    """Take note of a failure that perhaps nobody waits for."""
    if not answer.cancelled():
        answer.exception()
