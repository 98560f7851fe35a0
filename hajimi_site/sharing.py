"""What this process shares with the others of its installation when REDIS_URL is set: all of it goes over one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.utils import timezone

from hajimi_site import leading, news, shelf
from keys.ledger import Away
from keys.ledger import scripts as ledger_scripts
from keys.ledger.line import Line, connect
from keys.ledger.redis import Counted, RedisLedger, mark_of
from keys.ledger.sheltered import ShelteredLedger
from proxy.recount import recount

# A Redis that starts together with us gets this long.
START_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 0.5

SCRIPTS: Final = (*ledger_scripts.ALL, news.TELL, leading.LEAD, leading.RESIGN, shelf.PUT, shelf.FIND)


class Sharing:
    """The ledger, the news, the leadership and the quick shelf of signatures of one process.

    ``alone``: while Redis is away the process counts limits by itself, instead of refusing requests.
    """

    def __init__(self, url: str, prefix: str, *, alone: bool, listeners: dict[str, Callable[..., None]]) -> None:
        try:
            client = connect(url)
        except ValueError as error:
            # The message names an option of the address, no password.
            raise ImproperlyConfigured(f"REDIS_URL has an option that cannot be used: {error}.") from None
        self.line = Line(client, SCRIPTS, marks=[mark_of(prefix)])
        self._alone = alone
        self._redis_ledger = RedisLedger(self.line, prefix, _recounted)
        self.ledger = ShelteredLedger(self._redis_ledger, _recounted) if alone else self._redis_ledger
        self.news = news.News(self.line, prefix, listeners)
        self.leadership = leading.Leadership(self.line, prefix)
        self.shelf = shelf.Shelf(self.line, prefix)

    async def start(self) -> None:
        """Reach Redis, and tell it what the database knows unless it has been told. Raises ImproperlyConfigured."""
        fault = await self._reach()
        if not fault:
            await self._redis_ledger.restore_once(time.time())
        elif not self._alone:
            raise ImproperlyConfigured(f"the Redis of REDIS_URL cannot be used: {fault.rstrip('.')}.")

    async def fault(self) -> str:
        """Return why this process cannot serve for want of Redis, or "" when it can."""
        return "" if self._alone else await self.line.ping()

    async def stop(self) -> None:
        """Send what waits, and hang up."""
        await self._redis_ledger.resign()
        await self.line.aclose()

    async def _reach(self) -> str:
        until = time.monotonic() + START_SECONDS
        while fault := await self.line.ping():
            if self._alone or self.line.is_refused or time.monotonic() > until:
                return fault
            await asyncio.sleep(AGAIN_SECONDS)
        return ""


async def _recounted() -> list[Counted]:
    """Return the windows as the database has them. Raises Away when it is away as well."""
    try:
        return await asyncio.to_thread(_recount)
    except (Error, OSError) as error:
        raise Away(f"the database cannot be asked for the counts so far ({type(error).__name__})") from None


def _recount() -> list[Counted]:
    found = _Found()
    try:
        recount(found, timezone.now())
    finally:
        connections.close_all()
    return found.counted


class _Found:
    """Takes down what is to be restored."""

    def __init__(self) -> None:
        self.counted: list[Counted] = []

    def restore(self, name: str, used: int, resets_at: float) -> None:
        """Note a window."""
        self.counted.append((name, used, resets_at))
