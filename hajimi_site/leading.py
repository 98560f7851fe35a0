"""One process of many leads: it does in the background what must be done once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from keys.ledger import Away
from keys.ledger.line import Line
from keys.ledger.scripts import Script, script

LEASE_SECONDS: Final = 15.0

# KEYS: the lease. ARGV: who asks, for how many milliseconds.
LEAD: Final[Script] = script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
)
RESIGN: Final[Script] = script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


class Leadership:
    """A lease in Redis that one process holds and renews; when that dies, another one gets it within 15 s.

    While Redis is away nobody leads: what is led can wait.
    """

    def __init__(self, line: Line, prefix: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._line = line
        self._place = f"{prefix}:leader"
        self._us = secrets.token_hex(8)
        self._lease_seconds = lease_seconds
        self._is_ours = asyncio.Event()
        self._is_lost = asyncio.Event()
        self._is_lost.set()

    @property
    def is_ours(self) -> bool:
        """Whether this process leads."""
        return self._is_ours.is_set()

    async def keep(self) -> None:
        """Until cancelled: get the lease and renew it; then let another one have it."""
        try:
            while True:
                self._set(await self._ask())
                await asyncio.sleep(self._lease_seconds / 3)
        finally:
            self._set(False)
            self._line.post(RESIGN, [self._place], [self._us])

    async def lead(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Until cancelled: do ``work`` while this process leads. What it raises goes through."""
        while True:
            await self._is_ours.wait()
            doing = asyncio.ensure_future(work())
            lost = asyncio.create_task(self._is_lost.wait())
            try:
                await asyncio.wait({doing, lost}, return_when=asyncio.FIRST_COMPLETED)
                if doing.done():
                    await doing
            finally:
                for task in (doing, lost):
                    task.cancel()
                await asyncio.gather(doing, lost, return_exceptions=True)

    async def _ask(self) -> bool:
        try:
            return bool(await self._line.post(LEAD, [self._place], [self._us, int(self._lease_seconds * 1000)]))
        except Away:
            return False

    def _set(self, is_ours: bool) -> None:
        gone, come = (self._is_lost, self._is_ours) if is_ours else (self._is_ours, self._is_lost)
        gone.clear()
        come.set()
