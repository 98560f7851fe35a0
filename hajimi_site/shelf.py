"""Thought signatures in Redis: what one process has just handed out, another one finds without asking the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keys import vault
from keys.ledger import Away
from keys.ledger.line import Line
from keys.ledger.scripts import Script, script

# The database keeps them for a month; here they lie for as long as a chat goes on without a pause.
KEPT_SECONDS: Final = 3600
LONGEST: Final = 65_536

PUT: Final[Script] = script("return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])")
FIND: Final[Script] = script("return redis.call('MGET', unpack(KEYS))")


class Shelf:
    """Signatures by call id, encrypted as in the database. Redis may lose them: nothing is told of it."""

    def __init__(self, line: Line, prefix: str) -> None:
        self._line = line
        self._prefix = prefix

    def put(self, call_id: str, signature: str) -> None:
        """Lay a signature down; waits for nothing."""
        if len(signature) <= LONGEST:
            self._line.post(PUT, [self._key(call_id)], [vault.encrypt(signature), KEPT_SECONDS])

    async def find(self, call_ids: Sequence[str]) -> dict[str, str]:
        """Return the signatures that lie here, by call id."""
        try:
            found = await self._line.post(FIND, [self._key(call_id) for call_id in call_ids], [])
        except Away:
            return {}
        return {
            call_id: signature
            for call_id, ciphertext in zip(call_ids, found, strict=True)
            if ciphertext is not None and (signature := _decrypted(ciphertext))
        }

    def _key(self, call_id: str) -> str:
        return f"{self._prefix}:signature:{call_id}"


def _decrypted(ciphertext: bytes) -> str:
    try:
        return vault.decrypt(ciphertext.decode())
    except (vault.Undecryptable, UnicodeDecodeError):
        return ""
