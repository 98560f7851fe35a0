"""Database -> the frozen snapshot that one request runs with, and the news that it has changed."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from keys import vault
from keys.members import MemberView
from keys.models import Key, Member, Park
from keys.pool import ParkRow, PoolKey
from keys.rules import ParkReason
from proxy import revision
from proxy.behaviour import Behaviour
from proxy.models import BlockedModel, Settings, UpstreamModel
from proxy.revision import ONLY_ROW, bump, wake, watch_models
from proxy.translation.profiles import NamePatterns

logger = logging.getLogger(__name__)

__all__ = [
    "ModelFacts",
    "Runtime",
    "RuntimeHolder",
    "bump",
    "current_behaviour",
    "load",
    "names_in",
    "wake",
    "watch_models",
]

T = TypeVar("T")

POLL_SECONDS: Final = 1.0

_SEPARATORS: Final = re.compile(r"[\s,;，；]+")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What Google's list says of one model. Limits are in tokens, None when it names none."""

    name: str
    methods: tuple[str, ...]
    input_limit: int | None
    output_limit: int | None
    description: Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Runtime:
    """Everything from the database that a request reads. One request runs with one of these, to its end.

    ``members`` (by password digest) holds the enabled ones; ``keys`` holds all, the disabled marked.
    ``blocked`` joins the setting and the blocked models' rows; ``allowed`` is None when all are.
    """

    revision: int
    behaviour: Behaviour
    members: Mapping[str, MemberView]
    keys: tuple[PoolKey, ...] = field(repr=False)
    parks: tuple[ParkRow, ...]
    blocked: NamePatterns
    allowed: NamePatterns | None
    models: Mapping[str, ModelFacts]


def load() -> Runtime:
    """Read a new snapshot. Synchronous; raises django.db's errors while the database is away."""
    # The number is read first: a change that lands between the reads below has a later number, and is read again.
    number = revision.number()
    behaviour = current_behaviour()
    patterns = BlockedModel.objects.values_list("pattern", flat=True)
    return Runtime(
        revision=number,
        behaviour=behaviour,
        members=_members(),
        keys=_keys(),
        parks=_parks(),
        blocked=NamePatterns((*behaviour.blocked_models, *patterns)),
        allowed=NamePatterns(behaviour.allowed_models) if behaviour.allowed_models else None,
        models=_models(),
    )


def names_in(text: str) -> tuple[str, ...]:
    """Split a list as people type it: at commas, semicolons, spaces and new lines, as the environment does."""
    return tuple(piece for piece in _SEPARATORS.split(text) if piece)


def overridden(inherited: Behaviour, row: Mapping[str, Any]) -> Behaviour:
    """Return the behaviour with the fields that ``row`` fills; its empty ones (None, "") inherit."""
    filled: dict[str, Any] = {}
    for one in fields(Behaviour):
        value = row.get(one.name)
        if value is not None and value != "":
            filled[one.name] = names_in(value) if one.type == "tuple[str, ...]" else value
    return replace(inherited, **filled)


def current_behaviour() -> Behaviour:
    """Return the environment's settings with those that an admin has saved. Synchronous."""
    row = Settings.objects.filter(pk=ONLY_ROW).values().first()
    inherited: Behaviour = settings.BEHAVIOUR
    return overridden(inherited, row) if row else inherited


def _members() -> dict[str, MemberView]:
    rows = Member.objects.filter(enabled=True).select_related("group")
    return {member.digest: _member_view(member) for member in rows}


def _member_view(member: Member) -> MemberView:
    return MemberView(
        id=member.pk,
        name=member.name,
        digest=member.digest,
        requests_per_minute=_limit(member, "requests_per_minute"),
        requests_per_day=_limit(member, "requests_per_day"),
        tokens_per_day=_limit(member, "tokens_per_day"),
        expires_at=member.expires_at,
    )


def _limit(member: Member, name: str) -> int | None:
    own: int | None = getattr(member, name)
    return own if own is not None or member.group is None else getattr(member.group, name)


# Decrypting costs more than all else that a load of 2,000 keys does, and ciphertexts hardly ever change.
_decrypted: dict[str, str | None] = {}


def _keys() -> tuple[PoolKey, ...]:
    global _decrypted
    rows = list(Key.objects.values_list("pk", "ciphertext", "tail", "kind", "daily_limit", "disabled_by"))
    known = _decrypted
    secrets = {row[1]: known[row[1]] if row[1] in known else _decrypt(row[0], row[1]) for row in rows}
    _decrypted = secrets
    return tuple(_pool_key(secrets[row[1]], *row) for row in rows)


def _decrypt(key_id: int, ciphertext: str) -> str | None:
    try:
        return vault.decrypt(ciphertext)
    except vault.Undecryptable:
        logger.error("Key %d cannot be decrypted: SECRET_KEY has changed. The key is left out.", key_id)
        return None


def _pool_key(
    secret: str | None, key_id: int, _: str, tail: str, kind: str, daily_limit: int | None, disabled_by: str
) -> PoolKey:
    return PoolKey(
        id=key_id,
        secret=secret or "",
        tail=tail,
        kind=kind,
        daily_limit=daily_limit,
        disabled=bool(disabled_by) or secret is None,
    )


def _parks() -> tuple[ParkRow, ...]:
    rows = Park.objects.values_list("key_id", "model", "reason", "until", "quota_id", "created_at")
    return tuple(
        ParkRow(
            key_id=key_id, model=model, reason=ParkReason(reason), until=until, quota_id=quota_id, created_at=created_at
        )
        for key_id, model, reason, until, quota_id, created_at in rows
    )


def _models() -> dict[str, ModelFacts]:
    rows: Iterable[UpstreamModel] = UpstreamModel.objects.order_by("name")
    return {
        row.name: ModelFacts(
            row.name, tuple(row.methods), row.input_token_limit, row.output_token_limit, row.description
        )
        for row in rows
    }


class RuntimeHolder:
    """Holds this process's current runtime and swaps it when the database has moved on.

    While the database is away the last one stays in use. ``current`` may be read before ``start`` only
    when a runtime was given.
    """

    def __init__(self, runtime: Runtime | None = None, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._runtime = runtime
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # A thread of its own keeps one connection open; threads that come and go would leave theirs behind.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="runtime")
        self._is_away = False
        self._is_closed = False

    @property
    def current(self) -> Runtime:
        """The runtime for a request that begins now."""
        if self._runtime is None:
            raise RuntimeError("The runtime is read before start().")
        return self._runtime

    async def start(self) -> None:
        """Load the first runtime, and take wakes from now on. Raises while the database is away."""
        self._loop = asyncio.get_running_loop()
        revision.listen(self.wake)
        self._runtime = await self._in_thread(load)

    async def watch(self, on_change: Callable[[Runtime], None]) -> None:
        """Until cancelled: swap the runtime when the revision has moved, then call ``on_change`` with it.

        What ``on_change`` raises ends the watch; it may then be begun again. Cancelling it closes the holder.
        """
        try:
            while True:
                await self._wait()
                if await self._refresh():
                    on_change(self.current)
        except asyncio.CancelledError:
            self.close()
            raise

    def wake(self) -> None:
        """Look at the revision now. Safe to call from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    def close(self) -> None:
        """Take no more wakes, and close the connection of the reading thread. Twice does nothing."""
        revision.unlisten(self.wake)
        if not self._is_closed:
            self._is_closed = True
            self._thread.submit(connections.close_all)
            self._thread.shutdown(wait=False)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def _refresh(self) -> bool:
        before = self.current.revision
        try:
            runtime = await self._in_thread(lambda: _load_if_moved(before))
        except (DatabaseError, InterfaceError) as error:
            self._tell_away(error)
            return False
        except Exception:  # One row that cannot be read must not end the watch over all others.
            logger.exception("The settings could not be read; the last ones stay in use.")
            return False
        self._is_away = False
        if runtime is not None:
            self._runtime = runtime
        return runtime is not None

    def _tell_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("The database is away (%s); the last settings stay in use.", type(error).__name__)
        self._is_away = True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _reconnecting, work)


def _reconnecting(work: Callable[[], T]) -> T:
    try:
        return work()
    except (DatabaseError, InterfaceError):
        # A connection that broke stays broken: the next read opens another.
        connections.close_all()
        raise


def _load_if_moved(number: int) -> Runtime | None:
    return load() if revision.number() != number else None
