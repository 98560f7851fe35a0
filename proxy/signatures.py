"""Keeps the thought signatures of tool calls until the client comes back with them: in memory, and in the database.

Most clients drop what they do not know, and Gemini refuses a call that comes back without its signature.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from keys import vault
from proxy.journal_rows import SignatureRow
from proxy.models import ThoughtSignature

logger = logging.getLogger(__name__)

LIFETIME: Final = timedelta(days=30)
# What the database did not know is asked again after a while: another process may have written it meanwhile.
UNKNOWN_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 2.0
MOST: Final = 20_000
MOST_BYTES: Final = 32 * 2**20
LONGEST_ID: Final = 64
# Only calls of the present turn must have theirs; no client has this many in one turn.
MOST_ASKED: Final = 500
_ENTRY_BYTES: Final = 300


class Shelf(Protocol):
    """Where processes lay signatures down for each other; quicker than the database, and it may lose them."""

    def put(self, call_id: str, signature: str) -> None:
        """Lay one down; waits for nothing."""

    async def find(self, call_ids: Sequence[str]) -> dict[str, str]:
        """Return those that lie there, by call id."""
        ...


class Signatures:
    """Signatures by tool-call id, those used last in memory.

    ``remember`` makes the row that the request's Record takes to the database; ``find`` asks the database, in a
    thread of its own, only for what this process has not seen. Times are seconds since 1970.
    """

    def __init__(
        self,
        *,
        alias: str = DEFAULT_DB_ALIAS,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        shelf: Shelf | None = None,
    ) -> None:
        self._shelf = shelf
        self._alias = alias
        self._most = most
        self._most_bytes = most_bytes
        # Signature and end, by id; '' is a call that has none.
        self._seen: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._bytes = 0
        # A thread of its own keeps one connection open; threads that come and go would leave theirs behind.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signatures")

    def __contains__(self, call_id: str) -> bool:
        """Whether this process knows a call of this id: another one must not get it."""
        return call_id in self._seen

    def remember(self, call_id: str, signature: str | None, now: float) -> SignatureRow | None:
        """Keep a call's signature; return the row to be written, None for a call that came without one.

        Remember those too: ``find`` then need not ask the database for them.
        """
        if not _is_storable(call_id):
            return None
        self._keep(call_id, signature or "", now + LIFETIME.total_seconds())
        if not signature:
            return None
        if self._shelf is not None:
            self._shelf.put(call_id, signature)
        return SignatureRow(call_id, signature, datetime.fromtimestamp(now, UTC))

    async def find(self, call_ids: Collection[str], now: float) -> dict[str, str]:
        """Return the signatures that are known, by call id. A database that is away is as if it knew none."""
        found: dict[str, str] = {}
        unknown: list[str] = []
        for call_id in dict.fromkeys(call_ids):
            signature = self._recall(call_id, now)
            if signature:
                found[call_id] = signature
            elif signature is None and _is_storable(call_id):
                unknown.append(call_id)
        unknown = unknown[-MOST_ASKED:]
        if unknown and self._shelf is not None:
            lying = await self._shelf.find(unknown)
            for call_id, signature in lying.items():
                self._keep(call_id, signature, now + UNKNOWN_SECONDS)
            found |= lying
            unknown = [call_id for call_id in unknown if call_id not in lying]
        if unknown:
            found |= await self._ask(unknown, now)
        return found

    def close(self) -> None:
        """Close the connection; nothing is asked after this."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=False)

    def _recall(self, call_id: str, now: float) -> str | None:
        """Return what is known of a call in memory; None: nothing."""
        signature, until = self._seen.get(call_id, ("", 0.0))
        if until <= now:
            return None
        self._seen.move_to_end(call_id)
        return signature

    def _keep(self, call_id: str, signature: str, until: float) -> None:
        before = self._seen.pop(call_id, None)
        if before is not None:
            self._bytes -= _size(call_id, before[0])
        self._seen[call_id] = (signature, until)
        self._bytes += _size(call_id, signature)
        while len(self._seen) > self._most or self._bytes > self._most_bytes:
            oldest, (dropped, _) = self._seen.popitem(last=False)
            self._bytes -= _size(oldest, dropped)

    async def _ask(self, call_ids: Sequence[str], now: float) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                rows = await loop.run_in_executor(self._thread, _read, self._alias, call_ids, now)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            logger.warning("Thought signatures could not be read (%s).", type(error).__name__)
            return {}
        for call_id in call_ids:
            signature, until = rows.get(call_id, ("", now + UNKNOWN_SECONDS))
            self._keep(call_id, signature, until)
        return {call_id: signature for call_id, (signature, _) in rows.items()}


def _is_storable(call_id: str) -> bool:
    return 0 < len(call_id) <= LONGEST_ID and call_id.isprintable()


def _size(call_id: str, signature: str) -> int:
    return len(call_id) + len(signature) + _ENTRY_BYTES


def _read(alias: str, call_ids: Sequence[str], now: float) -> dict[str, tuple[str, float]]:
    """Return signature and end by id, for those that the database has."""
    rows = ThoughtSignature.objects.using(alias).filter(
        call_id__in=call_ids, created_at__gt=datetime.fromtimestamp(now, UTC) - LIFETIME
    )
    try:
        found = list(rows.values_list("call_id", "ciphertext", "created_at"))
    except (DatabaseError, InterfaceError):
        # A connection that broke stays broken: the next one that asks opens another.
        connections.close_all()
        raise
    return {
        call_id: (signature, (created_at + LIFETIME).timestamp())
        for call_id, ciphertext, created_at in found
        if (signature := _decrypted(ciphertext))
    }


def _decrypted(ciphertext: str) -> str:
    try:
        return vault.decrypt(ciphertext)
    except vault.Undecryptable:
        # From before SECRET_KEY changed: as good as expired.
        return ""
