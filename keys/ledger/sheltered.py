"""The ledger of a process that goes on alone while Redis is away: limits then count for each process by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from keys.ledger import Away
from keys.ledger.memory import MemoryLedger
from keys.ledger.redis import Counted, RedisLedger
from keys.ledger.windows import Admission, Refusal, Slots, Standing, Take, Window

logger = logging.getLogger(__name__)

RETURN_SECONDS: Final = 1.0


class ShelteredLedger:
    """Redis while it answers. While it does not, memory, put where the database says the windows stood.

    The way back is tried each second; what was counted meanwhile Redis then learns from the database.
    """

    def __init__(self, shared: RedisLedger, recount: Callable[[], Awaitable[Iterable[Counted]]]) -> None:
        self._shared = shared
        self._recount = recount
        self._own: MemoryLedger | None = None
        self._moving = asyncio.Lock()

    @property
    def is_alone(self) -> bool:
        """True while this process counts for itself."""
        return self._own is not None

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        """Take from all windows or from none: None when granted, else the first window without room."""
        return (await self.admit(takes, now)).refusal

    async def admit(self, takes: Sequence[Take], now: float) -> Admission:
        """Do the same, and tell how the windows stand then. Raises Away when the database is away as well."""
        if self._own is None:
            try:
                return await self._shared.admit(takes, now)
            except Away as error:
                await self._move_out(error)
        return await self._own_ledger.admit(takes, now)

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        """Undo earlier takes, where windows are counted now."""
        await (self._own or self._shared).give_back(takes, now)

    def spend(self, takes: Sequence[Take], now: float) -> None:
        """Let earlier takes stay for good, wherever they were taken."""
        self._shared.spend(takes, now)

    async def add(self, window: Window, amount: int, now: float) -> None:
        """Count what is known only afterwards, where windows are counted now."""
        await (self._own or self._shared).add(window, amount, now)

    async def raise_to(self, window: Window, used: int, now: float) -> None:
        """Let a window stand at ``used`` at least, where windows are counted now."""
        await (self._own or self._shared).raise_to(window, used, now)

    async def standing(self, window: Window, now: float) -> Standing:
        """Tell how much of a window is used."""
        return await (self._own or self._shared).standing(window, now)

    async def enter(self, slots: Slots, holder: int, now: float) -> bool:
        """Take a slot for the request ``holder``, and tell whether there was one."""
        if self._own is None:
            try:
                return await self._shared.enter(slots, holder, now)
            except Away as error:
                await self._move_out(error)
        return await self._own_ledger.enter(slots, holder, now)

    async def leave(self, slots: Slots, holder: int) -> None:
        """Give back the slot of ``holder``, wherever it was taken."""
        if self._own is not None:
            await self._own.leave(slots, holder)
        await self._shared.leave(slots, holder)

    async def inside(self, slots: Slots, now: float) -> int:
        """Tell how many slots are held."""
        return await (self._own or self._shared).inside(slots, now)

    async def keep(self, clock: Callable[[], float] = time.time) -> None:
        """Until cancelled: renew the slots in Redis, and go back to it when it answers again."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._shared.keep(clock))
            both.create_task(self._keep_returning(clock))

    @property
    def _own_ledger(self) -> MemoryLedger:
        assert self._own is not None  # noqa: S101 - we have just moved there
        return self._own

    async def _move_out(self, error: Away) -> None:
        async with self._moving:
            if self._own is not None:
                return
            own = MemoryLedger()
            for name, used, ends in await self._recount():
                own.restore(name, used, ends)
            self._own = own
            logger.warning(
                "Redis is away (%s): until it is back each process counts limits by itself, so that together "
                "they may grant more.",
                error,
            )

    async def _keep_returning(self, clock: Callable[[], float]) -> None:
        while True:
            await asyncio.sleep(RETURN_SECONDS)
            if self._own is not None:
                await self._move_back(clock())

    async def _move_back(self, now: float) -> None:
        try:
            await self._shared.restore(now)
        except Away:
            return
        self._own = None
        logger.warning("Redis is back: limits count for all processes together again.")
