"""What the processes of an installation tell each other at once, over Redis: settings moved, a password was guessed."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from redis.exceptions import RedisError

from keys.ledger.line import Line
from keys.ledger.redis import channel_of
from keys.ledger.scripts import Script, script

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
TELL: Final[Script] = script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")
# A flood of guesses must not grow into a queue: beyond this, news is dropped. Settings are polled all the same.
MOST_UNSENT: Final = 1000

Listener = Callable[..., None]


class News:
    """Tells the other processes, and hears them. What is lost while Redis is away is lost."""

    def __init__(self, line: Line, prefix: str, listeners: Mapping[str, Listener]) -> None:
        self._line = line
        self._channel = channel_of(prefix)
        self._listeners = listeners
        self._us = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self._unsent = 0

    def tell(self, kind: str, *words: Any) -> None:
        """Tell the others. Safe to call from any thread; waits for nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, orjson.dumps([self._us, kind, *words]))

    async def listen(self) -> None:
        """Until cancelled: pass on what the others tell. After an interruption everything may have changed."""
        while True:
            try:
                async with self._line.client.pubsub() as ears:
                    await ears.subscribe(self._channel)
                    while True:
                        # Within a patience shorter than the socket's: silence is no fault here.
                        self._take(await ears.get_message(timeout=0.5))
            except (RedisError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)

    def _take(self, message: Mapping[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "message":
            self._hear(message["data"])
        else:
            # We listen from now on, perhaps after an interruption: the library mends a connection without a word.
            self._pass_on("revision")

    def _tell(self, message: bytes) -> None:
        if self._unsent < MOST_UNSENT:
            self._unsent += 1
            self._line.post(TELL, [], [self._channel, message]).add_done_callback(self._sent)

    def _sent(self, _: object) -> None:
        self._unsent -= 1

    def _hear(self, data: bytes) -> None:
        try:
            who, kind, *words = orjson.loads(data)
            if who != self._us:
                self._pass_on(kind, *words)
        except (ValueError, TypeError):
            # A later version's news, or a stranger's.
            logger.debug("News that is not understood: %.100r", data)

    def _pass_on(self, kind: str, *words: Any) -> None:
        if listener := self._listeners.get(kind):
            listener(*words)
