"""Asks Gemini about a key, and for its models, without using up any quota."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx
import orjson
from django.conf import settings
from django.db import Error, connections, transaction
from django.utils import timezone

from keys import rules
from keys.models import Key
from keys.pool import PoolKey
from keys.rules import Outcome, Verdict
from proxy import runtime
from proxy.models import UpstreamModel
from proxy.upstream.errors import Refused, UpstreamError
from proxy.upstream.places import Places
from proxy.upstream.reach import Reach, is_vertex

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 20.0
LARGEST_ANSWER: Final = 4 * 2**20
MOST_PAGES: Final = 10
AT_ONCE: Final = 4
SAMPLE: Final = 8
HOUR_SECONDS: Final = 3600.0
RETRY_SECONDS: Final = 30.0
# What Vertex AI is asked to count, and with which of its models: the oldest that is there everywhere.
COUNTED_WITH: Final = "gemini-2.5-flash"
COUNTED: Final = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found: the key's models, or the ``verdict`` on an answer that was no list."""

    verdict: Verdict | None
    models: tuple[dict[str, Any], ...] = field(default=(), repr=False)


class _BadAnswerError(Exception):
    """A 200 that is no model list."""


async def probe(client: httpx.AsyncClient, base_url: str, key: PoolKey, now: datetime) -> Probed:
    """Fetch the models that ``key`` can reach, all pages of them. Takes at most 20 s and never raises for the wire."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await _pages(client, base_url, key, now)
    except (TimeoutError, httpx.TimeoutException):
        return _failed(Outcome.TIMEOUT, "Google did not answer in time.")
    except httpx.HTTPError as error:
        return _failed(Outcome.UNAVAILABLE, f"Google could not be reached ({type(error).__name__}).")
    except _BadAnswerError as error:
        return _failed(Outcome.UNAVAILABLE, str(error))


async def probe_all(client: httpx.AsyncClient, base_url: str, keys: Iterable[PoolKey]) -> list[tuple[PoolKey, Probed]]:
    """Probe AI Studio keys, four at a time; the answers come in the keys' order. Others have no list to ask for."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(key: PoolKey) -> tuple[PoolKey, Probed]:
        async with gate:
            return key, await probe(client, base_url, key, timezone.now())

    return list(await asyncio.gather(*(one(key) for key in keys if key.kind == Key.Kind.AI_STUDIO and key.secret)))


def places() -> Places:
    """Return where Google is, as the settings say."""
    return Places(settings.GEMINI_BASE_URL, settings.VERTEX_BASE_URL, settings.VERTEX_LOCATION)


async def ask_all(keys: Iterable[PoolKey], places: Places) -> list[tuple[PoolKey, Probed]]:
    """Probe keys of every kind, with connections of their own: for the admin and for commands."""
    keys = [key for key in keys if key.secret]
    async with Reach(places) as reach:
        lists = await probe_all(reach.client, places.base_url, keys)
        counts = await _count_with(reach, [key for key in keys if is_vertex(key)])
    return sorted(lists + counts, key=lambda probe: probe[0].id)


async def _count_with(reach: Reach, keys: Sequence[PoolKey]) -> list[tuple[PoolKey, Probed]]:
    """Let Vertex AI, which lists no models, count a word's tokens with each key: that is free."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(key: PoolKey) -> tuple[PoolKey, Probed]:
        async with gate:
            return key, await _count(reach, key, timezone.now())

    return list(await asyncio.gather(*map(one, keys)))


async def _count(reach: Reach, key: PoolKey, now: datetime) -> Probed:
    answer = reach.ways.ask(key, COUNTED_WITH, COUNTED, method="countTokens", stream=False, more={})
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await answer.batch()
    except Refused as error:
        return Probed(rules.judge(error.status, error.body, now))
    except TimeoutError:
        return _failed(Outcome.TIMEOUT, "Google did not answer in time.")
    except UpstreamError as error:
        return _failed(Outcome.UNAVAILABLE, f"Google could not be reached ({error}).")
    finally:
        await answer.close()
    return Probed(None)


@dataclass(frozen=True, slots=True)
class Settled:
    """What probes have changed: how many keys came back, and how many are out."""

    revived: int
    disabled: int


def settle(probes: Iterable[tuple[PoolKey, Probed]]) -> Settled:
    """Disable keys that Google refuses; bring back those that only Google's answer had disabled. Synchronous."""
    revived = disabled = 0
    with transaction.atomic():
        for key, probed in probes:
            row = Key.objects.filter(pk=key.id)
            if probed.verdict is None:
                # An admin's choice, and a key's leaving the environment, are not Google's to undo.
                revived += row.filter(disabled_by=Key.DisabledBy.GOOGLE).update(disabled_by="", disabled_reason="")
            elif probed.verdict.disable:
                reason = probed.verdict.disable[:300]
                disabled += row.filter(disabled_by="").update(disabled_by=Key.DisabledBy.GOOGLE, disabled_reason=reason)
    if revived or disabled:
        runtime.bump()
    return Settled(revived, disabled)


async def keep_models_fresh(
    client: httpx.AsyncClient,
    base_url: str,
    keys: Callable[[], Sequence[PoolKey]],
    on_verdict: Callable[[PoolKey, Verdict], None],
    changed: asyncio.Event,
    *,
    seconds: float = HOUR_SECONDS,
) -> None:
    """Until cancelled: keep UpstreamModel's rows as up to eight of the enabled keys see Google's models.

    Asks at first, each ``seconds``, and when ``changed`` is set and the keys to ask are others than before; after
    an outage sooner. ``on_verdict`` hears of a key that Google refuses.
    """
    asked: tuple[int, ...] = ()
    pause = 0.0
    while True:
        woken = await _wait(changed, pause)
        sample = sample_of(keys())
        ids = tuple(key.id for key in sample)
        if woken and ids == asked:
            continue
        is_good = await refresh_models(client, base_url, sample, on_verdict) if sample else False
        asked = ids
        pause = seconds if is_good or not sample else min(RETRY_SECONDS, seconds)


def sample_of(keys: Sequence[PoolKey]) -> list[PoolKey]:
    """Return the keys to ask for models: always the same ones, so that the list does not flicker."""
    usable = [key for key in keys if not key.disabled and key.secret and key.kind == Key.Kind.AI_STUDIO]
    return sorted(usable, key=lambda key: key.id)[:SAMPLE]


async def refresh_models(
    client: httpx.AsyncClient,
    base_url: str,
    keys: Sequence[PoolKey],
    on_verdict: Callable[[PoolKey, Verdict], None],
) -> bool:
    """Probe ``keys`` and save the union of their models; tell whether any list came and was saved.

    A model that is gone from Google's lists is forgotten only when every probe succeeded.
    """
    probes = await probe_all(client, base_url, keys)
    for key, probed in probes:
        if probed.verdict is not None and probed.verdict.disable:
            on_verdict(key, probed.verdict)
    found = {name: model for _, probed in probes for model in probed.models if (name := _name(model))}
    if not found:
        return False
    is_complete = all(probed.verdict is None for _, probed in probes)
    return await asyncio.to_thread(_save_quietly, found, is_complete)


def save_models(found: dict[str, dict[str, Any]], *, forget_others: bool) -> bool:
    """Save Google's descriptions by name; tell whether anything but the time has changed. Synchronous."""
    now = timezone.now()
    rows = [_row(name, model, now) for name, model in found.items()]
    with transaction.atomic():
        before = dict(UpstreamModel.objects.values_list("name", "description"))
        gone = set(before) - set(found) if forget_others else set()
        UpstreamModel.objects.filter(name__in=gone).delete()
        UpstreamModel.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=[
                "display_name",
                "methods",
                "input_token_limit",
                "output_token_limit",
                "description",
                "seen_at",
            ],
        )
        is_changed = bool(gone) or any(before.get(name) != model for name, model in found.items())
    if is_changed:
        runtime.bump()
    return is_changed


async def _pages(client: httpx.AsyncClient, base_url: str, key: PoolKey, now: datetime) -> Probed:
    models: list[dict[str, Any]] = []
    token = ""
    for _ in range(MOST_PAGES):
        status, body = await _get(client, base_url, key, token)
        if status != httpx.codes.OK:
            return Probed(rules.judge(status, body, now))
        page = _page(body)
        models += [model for model in page.get("models") or [] if isinstance(model, dict)]
        token = page.get("nextPageToken") or ""
        if not token:
            break
    return Probed(None, tuple(models))


async def _get(client: httpx.AsyncClient, base_url: str, key: PoolKey, token: str) -> tuple[int, bytes]:
    params = {"pageSize": "1000"} | ({"pageToken": token} if token else {})
    # Uncompressed, so that the bound below is one of memory too.
    headers = {"x-goog-api-key": key.secret, "accept-encoding": "identity"}
    async with client.stream(
        "GET", f"{base_url}/v1beta/models", params=params, headers=headers, timeout=PROBE_SECONDS
    ) as answer:
        body = bytearray()
        async for data in answer.aiter_raw():
            body += data
            if len(body) > LARGEST_ANSWER:
                raise _BadAnswerError("Google's answer is too long for a model list.")
        return answer.status_code, bytes(body)


def _page(body: bytes) -> dict[str, Any]:
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("models") or [], list):
        raise _BadAnswerError("Google's answer is no model list.")
    return page


def _failed(outcome: Outcome, message: str) -> Probed:
    return Probed(Verdict(outcome, 0, message))


def _name(model: dict[str, Any]) -> str:
    name = model.get("name")
    return name.removeprefix("models/").strip()[:120] if isinstance(name, str) else ""


def _row(name: str, model: dict[str, Any], now: datetime) -> UpstreamModel:
    methods = model.get("supportedGenerationMethods")
    return UpstreamModel(
        name=name,
        display_name=str(model.get("displayName") or "")[:200],
        methods=[one for one in methods if isinstance(one, str)] if isinstance(methods, list) else [],
        input_token_limit=_limit(model.get("inputTokenLimit")),
        output_token_limit=_limit(model.get("outputTokenLimit")),
        description=model,
        seen_at=now,
    )


def _limit(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**31 else None


def _save_quietly(found: dict[str, dict[str, Any]], is_complete: bool) -> bool:
    try:
        save_models(found, forget_others=is_complete)
    except Error as error:
        logger.warning("The model list could not be saved (%s); the next try comes soon.", type(error).__name__)
        return False
    finally:
        connections.close_all()
    return True


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    """Wait for the event or the time; tell whether it was the event."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    changed.clear()
    return True
