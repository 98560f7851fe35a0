"""Database -> the frozen snapshot that one request runs with, and the news that it has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from keys import vault
from keys.limits import names_in
from keys.members import MemberView, Own
from keys.models import Key, Park
from keys.pool import ParkRow, PoolKey
from keys.redacting import redact
from keys.rules import ParkReason
from proxy import membership, revision
from proxy.behaviour import KEY_ORDERS, Behaviour
from proxy.models import BlockedModel, Settings, UpstreamModel
from proxy.recording import wishing_members
from proxy.revision import ONLY_ROW, bump, wake, watch_models
from proxy.translation.profiles import Both, NamePatterns, Names

logger = logging.getLogger(__name__)

__all__ = [
    "ModelFacts",
    "Runtime",
    "RuntimeHolder",
    "bump",
    "current_behaviour",
    "keep_secret",
    "load",
    "names_in",
    "wake",
    "watch_models",
]

T = TypeVar("T")

POLL_SECONDS: Final = 1.0


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
    allowed: Names | None
    models: Mapping[str, ModelFacts]
    # Ids of members who want their requests recorded.
    recorded: frozenset[int] = frozenset()
    # Members with equal settings of their own share one.
    _owns: dict[Own, Runtime] = field(default_factory=dict, repr=False)

    def for_own(self, own: Own) -> Runtime:
        """Return this runtime as it is for members with these settings of their own."""
        found = self._owns.get(own)
        if found is None:
            found = self._owns[own] = self._changed(own)
        return found

    def _changed(self, own: Own) -> Runtime:
        switches = {"fake_streaming": own.fake_streaming, "random_string": own.random_string}
        chosen: dict[str, Any] = {name: value for name, value in switches.items() if value is not None}
        allowed: Names | None = NamePatterns(own.allowed_models) if own.allowed_models else None
        if allowed is not None and self.allowed is not None:
            allowed = Both(self.allowed, allowed)
        return replace(
            self,
            behaviour=replace(self.behaviour, **chosen),
            blocked=NamePatterns((*self.blocked.patterns, *own.blocked_models)),
            allowed=allowed or self.allowed,
            _owns={},
        )


def load() -> Runtime:
    """Read a new snapshot. Synchronous; raises django.db's errors while the database is away."""
    # The number is read first: a change that lands between the reads below has a later number, and is read again.
    number = revision.number()
    behaviour = current_behaviour()
    patterns = BlockedModel.objects.values_list("pattern", flat=True)
    return Runtime(
        revision=number,
        behaviour=behaviour,
        members=membership.by_digest(),
        keys=_keys(behaviour),
        parks=_parks(),
        blocked=NamePatterns((*behaviour.blocked_models, *patterns)),
        allowed=NamePatterns(behaviour.allowed_models) if behaviour.allowed_models else None,
        models=_models(),
        recorded=wishing_members(),
    )


def keep_secret(runtime: Runtime) -> None:
    """Let this process mask the keys and the passwords of ``runtime`` in whatever it writes from now on."""
    redact.know((key.secret for key in runtime.keys), lambda word: vault.digest(word) in runtime.members)


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


# Decrypting costs more than all else that a load of 2,000 keys does, and ciphertexts hardly ever change.
_decrypted: dict[str, str | None] = {}


def _keys(behaviour: Behaviour) -> tuple[PoolKey, ...]:
    global _decrypted
    rows = list(Key.objects.values_list("pk", "ciphertext", "tail", "kind", "daily_limit", "disabled_by"))
    known = _decrypted
    secrets = {row[1]: known[row[1]] if row[1] in known else _decrypt(row[0], row[1]) for row in rows}
    _decrypted = secrets
    return tuple(_pool_key(behaviour, secrets[row[1]], *row) for row in rows)


def _decrypt(key_id: int, ciphertext: str) -> str | None:
    try:
        return vault.decrypt(ciphertext)
    except vault.Undecryptable:
        logger.error("Key %d cannot be decrypted: SECRET_KEY has changed. The key is left out.", key_id)
        return None


def _pool_key(
    behaviour: Behaviour,
    secret: str | None,
    key_id: int,
    _: str,
    tail: str,
    kind: str,
    daily_limit: int | None,
    disabled_by: str,
) -> PoolKey:
    return PoolKey(
        id=key_id,
        secret=secret or "",
        tail=tail,
        kind=kind,
        daily_limit=daily_limit,
        disabled=bool(disabled_by) or secret is None or (kind != Key.Kind.AI_STUDIO and not behaviour.enable_vertex),
        rank=0 if kind in KEY_ORDERS[behaviour.key_order] else 1,
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
    when a runtime was given. ``before_reads`` is called before each read, in the thread and with the connection that
    read; what it raises ends that read.
    """

    def __init__(
        self,
        runtime: Runtime | None = None,
        *,
        poll_seconds: float = POLL_SECONDS,
        before_reads: Callable[[], None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._before_reads = before_reads
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
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._reconnecting, work)

    def _reconnecting(self, work: Callable[[], T]) -> T:
        try:
            self._before_reads()
            return work()
        except (DatabaseError, InterfaceError):
            # A connection that broke stays broken: the next read opens another.
            connections.close_all()
            raise


def _load_if_moved(number: int) -> Runtime | None:
    return load() if revision.number() != number else None
