"""Gets one request the keys for its attempts: from the pool, unless the upstream that a key leads to is out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Set
from typing import Final

from keys.pool import Lease, Pool, Unavailable
from keys.rules import Verdict
from proxy.breaker import FIRST_PAUSE, Breaker, Outage, upstream_of

# An upstream that lets so many connections of one request pass without a word is not asked by it again: another key
# of it goes the same way, and each try costs its client seconds.
SILENT_CONNECTIONS: Final = 3


class Lender:
    """Lends keys for ``model`` to one request; while all keys are busy it may wait ``patience`` seconds in all."""

    def __init__(
        self,
        pool: Pool,
        breaker: Breaker,
        *,
        model: str,
        request: int,
        patience: float,
        now: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._breaker = breaker
        self._model = model
        self._request = request
        self._silent: Counter[str] = Counter()
        self._waits_until = asyncio.get_running_loop().time() + patience
        self._now = now

    async def lend(self, used: Set[int], *, may_wait: bool) -> Lease | Unavailable | Outage:
        """Lend a key, one of ``used`` only when no other fits; or say why there is none."""
        while True:
            lease = await self._lend_now(used)
            patience = self._waits_until - asyncio.get_running_loop().time()
            is_busy = isinstance(lease, Unavailable) and lease.why == "busy"
            if not (is_busy and may_wait and patience > 0):
                return lease
            await self._pool.turns.wait(patience)

    def answered(self, lease: Lease) -> None:
        """Note that an attempt has begun to bring an answer."""
        self._breaker.alive(upstream_of(lease.key.kind), lease.model)

    def failed(self, lease: Lease, verdict: Verdict, *, is_silent: bool = False) -> None:
        """Note how an attempt failed: it may mean that nobody gets an answer. ``is_silent``: nobody was there."""
        upstream = upstream_of(lease.key.kind)
        self._silent[upstream] += is_silent
        self._breaker.failed(
            upstream,
            lease.model,
            verdict.outcome,
            verdict.status,
            request=self._request,
            key=lease.key.id,
            now=self._now(),
        )

    def _outage(self, upstream: str, now: float) -> Outage | None:
        """Return why this request does not ask ``upstream`` now."""
        if (silent := self._silent[upstream]) >= SILENT_CONNECTIONS:
            return Outage(upstream, "", silent, FIRST_PAUSE)
        return self._breaker.outage(upstream, self._model, now)

    async def _lend_now(self, used: Set[int]) -> Lease | Unavailable | Outage:
        """Go through the keys that fit until one leads to an upstream that is not out."""
        outages: dict[str, Outage] = {}
        passed_over: set[int] = set()
        while True:
            now = self._now()
            lease = await self._pool.lease(self._model, used | passed_over if passed_over else used, now)
            if isinstance(lease, Unavailable):
                return next(iter(outages.values()), lease)
            upstream = upstream_of(lease.key.kind)
            outage = outages.get(upstream) or self._outage(upstream, now)
            if outage is None:
                return lease
            await self._pool.release(lease, refund=True, now=now)
            outages[upstream] = outage
            if (
                lease.key.id in passed_over
                or {upstream_of(kind) for kind in self._pool.kinds(self._model)} <= outages.keys()
            ):
                return outage
            passed_over.add(lease.key.id)
