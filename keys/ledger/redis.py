"""The ledger of many processes: windows in Redis, each step one Lua call; what is lost comes from the database."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from keys.ledger import Away
from keys.ledger.line import Line, Value
from keys.ledger.scripts import (
    ADD,
    ENTER,
    GIVE_BACK,
    HOLD,
    INSIDE,
    LEAVE,
    RAISE,
    RECLAIM,
    RENEW,
    RESIGN,
    RESTORE,
    SPEND,
    STANDING,
    TAKE,
    Script,
)
from keys.ledger.windows import MINUTE, SLOT_SECONDS, Admission, Refusal, Slots, Standing, Take, Window

RESTORED_AT_ONCE: Final = 500
RESTORED_AGAIN: Final = 3
RENEW_SECONDS: Final = SLOT_SECONDS / 3
# Settled while Redis is away: kept for its return, at most so many.
MOST_OWED: Final = 10_000

# What TAKE answers when Redis has not been told of the database, and when it has forgotten what this process holds.
UNTOLD: Final = -1
FORGOTTEN: Final = -2

Counted = tuple[str, int, float]


@dataclass(frozen=True, slots=True)
class _Owed:
    script: Script
    keys: Sequence[str]
    values: Sequence[Value]


class RedisLedger:
    """Windows and slots in Redis. Each method is one trip, and raises Away where it must not go on without an answer.

    ``recount`` tells the windows as the database has them, name, used and end of each; it is asked when Redis has
    lost its own. ``mark`` and ``channel`` are made of ``prefix``, which several installations on one Redis keep apart.
    """

    def __init__(self, line: Line, prefix: str, recount: Callable[[], Awaitable[Iterable[Counted]]]) -> None:
        self._line = line
        self._prefix = prefix
        self._mark = mark_of(prefix)
        self._channel = channel_of(prefix)
        self._recount = recount
        self._restoring = asyncio.Lock()
        self._owed: deque[_Owed] = deque(maxlen=MOST_OWED)
        self._held: set[tuple[str, int]] = set()
        self._process = uuid4().hex
        self._processes = f"{prefix}:processes"
        self._holds = f"{prefix}:holds:"
        # What is taken of days and neither spent nor given back: amount and end by the window's key.
        self._taken: dict[str, tuple[int, float]] = {}

    async def take(self, takes: Sequence[Take], now: float) -> Refusal | None:
        """Take from all windows or from none: None when granted, else the first window without room."""
        return (await self.admit(takes, now)).refusal

    async def admit(self, takes: Sequence[Take], now: float) -> Admission:
        """Do the same, and tell how the windows stand then."""
        ends = [_fresh_end(take.window, now) for take in takes]
        wanted = [(take.window.limit, take.amount, end) for take, end in zip(takes, ends, strict=True)]
        answer = await self._granted(takes, wanted, now)
        for _ in range(RESTORED_AGAIN):
            if answer[0] >= 0:
                break
            if answer[0] == FORGOTTEN:
                await self._hold(now)
            else:
                await self.restore_once(now)
            answer = await self._granted(takes, wanted, now)
        else:
            raise Away("it loses what it is told")
        standings = tuple(
            _standing(take.window, answer[2 * i + 1], answer[2 * i + 2], now) for i, take in enumerate(takes)
        )
        if not answer[0]:
            return Admission(None, standings)
        refused = answer[0] - 1
        until = float(answer[2 * refused + 2] or ends[refused])
        return Admission(Refusal(takes[refused].window, until), standings)

    async def give_back(self, takes: Sequence[Take], now: float) -> None:
        """Undo earlier takes. A minute keeps what was taken: it may have begun anew since. Raises nothing."""
        call = self._giving_back(takes, now)
        if call is not None:
            await self._settled(call)

    def spend(self, takes: Sequence[Take], now: float) -> None:
        """Let takes stay for good: their request is in the database. Waits for nothing and raises nothing."""
        days = _days(takes)
        if not days:
            return
        keys, told = self._let_go(days, now)
        # Told later, when Redis was away, the database has been asked since: then nothing is counted again.
        owed = _Owed(SPEND, keys, [repr(now), 0, *told])
        answer = self._line.post(SPEND, keys, [repr(now), 1, *told])
        answer.add_done_callback(lambda done: self._note_owed(owed, done))

    async def add(self, window: Window, amount: int, now: float) -> None:
        """Count what is known only afterwards (tokens), whatever the limit. Raises nothing."""
        await self._settled(_Owed(ADD, [self._key(window.name)], [repr(now), amount, _fresh_end(window, now)]))

    async def raise_to(self, window: Window, used: int, now: float) -> None:
        """Let a window stand at ``used`` at least: so much the database knows of."""
        await self._line.post(RAISE, [self._key(window.name)], [repr(now), used, _fresh_end(window, now)])

    async def standing(self, window: Window, now: float) -> Standing:
        """Tell how much of a window is used."""
        values = [repr(now), _fresh_end(window, now)]
        used, ends = await self._line.post(STANDING, [self._key(window.name)], values)
        return _standing(window, used, ends, now)

    async def enter(self, slots: Slots, holder: int, now: float) -> bool:
        """Take a slot for the request ``holder``, and tell whether there was one. One that is inside stays inside."""
        place = (self._key(slots.name), holder)
        answer = self._line.post(ENTER, [place[0]], [repr(now), slots.limit, holder, repr(now + SLOT_SECONDS)])
        try:
            is_inside = bool(await asyncio.shield(answer))
        except asyncio.CancelledError:
            answer.add_done_callback(lambda done: _if_granted(done, 1, lambda: self._go(place)))
            raise
        if is_inside:
            self._held.add(place)
        return is_inside

    async def leave(self, slots: Slots, holder: int) -> None:
        """Give back the slot of ``holder``; nothing when it has none. Once begun it is done, also if cancelled."""
        place = (self._key(slots.name), holder)
        self._held.discard(place)
        await _quietly(self._go(place))

    async def inside(self, slots: Slots, now: float) -> int:
        """Tell how many slots are held."""
        return int(await self._line.post(INSIDE, [self._key(slots.name)], [repr(now)]))

    async def restore(self, now: float) -> None:
        """Tell Redis what the database knows; what it knows better itself stays."""
        counted = list(await self._recount())
        batches = [counted[start : start + RESTORED_AT_ONCE] for start in range(0, len(counted), RESTORED_AT_ONCE)]
        for number, batch in enumerate(batches or [[]], start=1):
            values: list[Value] = [repr(now), int(number >= len(batches))]
            for _name, used, ends in batch:
                values += (used, repr(ends))
            await self._line.post(RESTORE, [self._mark, *(self._key(name) for name, _used, _ends in batch)], values)
        await self._hold(now)

    async def restore_once(self, now: float) -> None:
        """Do so, unless another task or process has done it already."""
        async with self._restoring:
            if (await self._line.post(TAKE, self._heads(), self._who(now)))[0] == UNTOLD:
                await self.restore(now)

    async def keep(self, clock: Callable[[], float] = time.time, *, seconds: float = RENEW_SECONDS) -> None:
        """Until cancelled: renew what this process holds, give back for the dead, and settle what is owed."""
        while True:
            await asyncio.sleep(seconds)
            with suppress(Away):
                await self.renew(clock())
                await self.reclaim(clock())
            self.pay()

    async def reclaim(self, now: float) -> None:
        """Give back what processes hold that died. What of it was answered all the same, the database knows."""
        if await self._line.post(RECLAIM, [self._processes], [repr(now), self._holds, self._channel]):
            await self.restore(now)

    async def resign(self) -> None:
        """Say that this process ends: what it might still hold may be given back. Raises nothing."""
        await _quietly(self._line.post(RESIGN, [self._processes], [self._process]))

    async def renew(self, now: float) -> None:
        """Keep the slots of this process's requests, and what they have taken, for another while."""
        if self._taken:
            await _quietly(self._holding(now))
        held = list(self._held)
        for start in range(0, len(held), RESTORED_AT_ONCE):
            some = held[start : start + RESTORED_AT_ONCE]
            values: list[Value] = [repr(now + SLOT_SECONDS), *(holder for _key, holder in some)]
            await _quietly(self._line.post(RENEW, [key for key, _holder in some], values))

    def pay(self) -> None:
        """Send what could not be sent; what fails again stays owed."""
        for _ in range(len(self._owed)):
            call = self._owed.popleft()
            self._line.post(call.script, call.keys, call.values).add_done_callback(
                lambda done, call=call: self._note_owed(call, done)  # type: ignore[misc]
            )

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _go(self, place: tuple[str, int]) -> asyncio.Future[Any]:
        return self._line.post(LEAVE, [place[0]], [place[1]])

    def _heads(self) -> list[str]:
        return [self._mark, self._holds + self._process, self._processes]

    def _who(self, now: float) -> list[Value]:
        return [repr(now), self._process, repr(now + SLOT_SECONDS), int(bool(self._taken))]

    async def _granted(self, takes: Sequence[Take], wanted: Sequence[tuple[int, int, str]], now: float) -> list[Any]:
        keys = [*self._heads(), *(self._key(take.window.name) for take in takes)]
        values = self._who(now)
        for take, each in zip(takes, wanted, strict=True):
            values += (*each, int(take.window.ends_at is not None))
        answer = self._line.post(TAKE, keys, values)
        # Noted with the answer, whoever waits for it: what is posted from then on must know of it.
        answer.add_done_callback(lambda done: _if_granted(done, [0], lambda: self._note_taken(takes)))
        try:
            granted: list[Any] = await asyncio.shield(answer)
        except asyncio.CancelledError:
            # Nobody will use what may be granted all the same.
            answer.add_done_callback(lambda done: _if_granted(done, [0], lambda: self._undo(takes, now)))
            raise
        return granted

    def _undo(self, takes: Sequence[Take], now: float) -> None:
        if call := self._giving_back(takes, now):
            self._line.post(call.script, call.keys, call.values)

    def _giving_back(self, takes: Sequence[Take], now: float) -> _Owed | None:
        days = _days(takes)
        if not days:
            return None
        keys, _told = self._let_go(days, now)
        values: list[Value] = [repr(now), self._channel]
        for take in days:
            values += (take.window.limit, take.amount, _fresh_end(take.window, now))
        return _Owed(GIVE_BACK, keys, values)

    def _note_taken(self, takes: Sequence[Take]) -> None:
        for take in _days(takes):
            key = self._key(take.window.name)
            held, _end = self._taken.get(key, (0, 0.0))
            self._taken[key] = (held + take.amount, take.window.ends_at or 0.0)

    def _let_go(self, days: Sequence[Take], now: float) -> tuple[list[str], list[Value]]:
        """Forget that these are held; return the keys of a call that says so, and amount and end of each."""
        told: list[Value] = []
        for take in days:
            key = self._key(take.window.name)
            held, end = self._taken.get(key, (0, 0.0))
            if held > take.amount:
                self._taken[key] = (held - take.amount, end)
            else:
                self._taken.pop(key, None)
            told += (take.amount, _fresh_end(take.window, now))
        return [self._holds + self._process, *(self._key(take.window.name) for take in days)], told

    async def _hold(self, now: float) -> None:
        """Tell Redis what this process holds, if it has forgotten. Raises Away."""
        if self._taken:
            await self._holding(now)

    def _holding(self, now: float) -> asyncio.Future[Any]:
        keys = [self._holds + self._process, self._processes, *self._taken]
        values: list[Value] = [repr(now), self._process, repr(now + SLOT_SECONDS)]
        for amount, end in self._taken.values():
            values += (amount, repr(end))
        return self._line.post(HOLD, keys, values)

    async def _settled(self, call: _Owed) -> None:
        answer = self._line.post(call.script, call.keys, call.values)
        answer.add_done_callback(lambda done: self._note_owed(call, done))
        await _quietly(answer)

    def _note_owed(self, call: _Owed, answer: asyncio.Future[Any]) -> None:
        """Keep a call for later that was surely not made; of the others only what makes limits stricter."""
        error = answer.exception()
        if isinstance(error, Away) and (error.never_sent or call.script is ADD):
            self._owed.append(call)


def mark_of(prefix: str) -> str:
    """Return the key that says that Redis has been told of the windows in the database."""
    return f"{prefix}:restored"


def channel_of(prefix: str) -> str:
    """Return the channel on which the processes of an installation tell each other news."""
    return f"{prefix}:news"


def _days(takes: Sequence[Take]) -> list[Take]:
    """Return the takes of days: a minute is over before it matters who took it."""
    return [take for take in takes if take.window.ends_at is not None and take.amount]


def _fresh_end(window: Window, now: float) -> str:
    return repr(now + MINUTE if window.ends_at is None else window.ends_at)


def _standing(window: Window, used: int, ends: bytes, now: float) -> Standing:
    if ends:
        return Standing(used, float(ends))
    return Standing(used, now if window.ends_at is None else window.ends_at)


def _if_granted(answer: asyncio.Future[Any], first: Any, undo: Callable[[], object]) -> None:
    if answer.cancelled() or answer.exception():
        return
    result = answer.result()
    if (result[:1] if isinstance(result, list) else result) == first:
        undo()


async def _quietly(answer: asyncio.Future[Any]) -> None:
    """Wait for an answer that nothing depends on; the call is made also if this is cancelled."""
    try:
        await asyncio.shield(answer)
    except Away:
        return
