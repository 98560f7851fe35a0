"""Probes: what they learn about keys and models, what they change, and what they never do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from django.core.management import call_command

from keys import vault
from keys.models import Key
from keys.pool import PoolKey
from keys.rules import Outcome, Verdict
from proxy import probe, runtime
from proxy.models import UpstreamModel
from tests.databases import database, in_thread, until
from tests.gemini import FakeGemini, Model

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)
GOOD, BAD = "AIzaSyGood", "AIzaSyBad"
ODD = "sk-odd-key-of-mine-000111222"


@pytest.fixture
def data(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        yield


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as one:
        yield one


def key(number: int = 1, secret: str = GOOD, **fields: Any) -> PoolKey:
    given = {"tail": "x7Qk", "kind": "ai_studio", "daily_limit": None, "disabled": False}
    return PoolKey(id=number, secret=secret, **given | fields)


def stored(number: int, secret: str, disabled_by: str = "") -> Key:
    return Key.objects.create(
        pk=number, ciphertext=vault.encrypt(secret), digest=secret, tail=secret[-4:], disabled_by=disabled_by
    )


@asynccontextmanager
async def google(handler: Any) -> AsyncIterator[str]:
    """Run a Google that answers every address with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_it_brings_every_model_of_every_page(gemini: FakeGemini, client: httpx.AsyncClient) -> None:
    gemini.models = tuple(Model(f"gemini-{number}", "A model") for number in range(1500))

    probed = await probe.probe(client, gemini.url, key(), NOW)

    assert probed.verdict is None
    assert len(probed.models) == 1500


async def test_it_sends_the_key_in_a_header_and_asks_for_plain_bytes(client: httpx.AsyncClient) -> None:
    seen: list[web.Request] = []

    async def listing(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"models": []})

    async with google(listing) as url:
        await probe.probe(client, url, key(), NOW)

    [request] = seen
    assert request.headers["x-goog-api-key"] == GOOD
    assert request.headers["accept-encoding"] == "identity"
    assert GOOD not in str(request.rel_url)


async def test_a_bad_key_is_judged(gemini: FakeGemini, client: httpx.AsyncClient) -> None:
    gemini.keys = {GOOD}

    probed = await probe.probe(client, gemini.url, key(secret=BAD), NOW)

    assert probed.verdict is not None
    assert probed.verdict.outcome is Outcome.KEY_REJECTED
    assert probed.verdict.disable
    assert BAD not in probed.verdict.message + probed.verdict.disable


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"models": 5}', b"\xff", b'{"models": ["x", null]}', b"{}"])
async def test_an_odd_answer_blames_no_key(client: httpx.AsyncClient, body: bytes) -> None:
    async def odd(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with google(odd) as url:
        probed = await probe.probe(client, url, key(), NOW)

    assert probed.models == ()
    assert probed.verdict is None or not probed.verdict.disable


async def test_an_endless_answer_is_cut(client: httpx.AsyncClient) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 2**16)

    async with google(endless) as url:
        probed = await probe.probe(client, url, key(), NOW)

    assert probed.verdict is not None
    assert probed.verdict.outcome is Outcome.UNAVAILABLE


async def test_endless_pages_are_cut(client: httpx.AsyncClient) -> None:
    async def paging(_: web.Request) -> web.Response:
        return web.json_response({"models": [{"name": "models/gemini-x"}], "nextPageToken": "again"})

    async with google(paging) as url:
        probed = await probe.probe(client, url, key(), NOW)

    assert len(probed.models) == probe.MOST_PAGES


async def test_an_unreachable_google_blames_no_key(client: httpx.AsyncClient) -> None:
    probed = await probe.probe(client, "http://127.0.0.1:1", key(), NOW)

    assert probed.verdict is not None
    assert (probed.verdict.outcome, probed.verdict.disable) == (Outcome.UNAVAILABLE, None)


async def test_it_probes_four_at_a_time_and_only_keys_that_have_a_list(client: httpx.AsyncClient) -> None:
    running = most = 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return web.json_response({})

    keys = [key(number) for number in range(20)] + [key(90, kind="vertex_express"), key(91, secret="")]
    async with google(slow) as url:
        probes = await probe.probe_all(client, url, keys)

    assert [one.id for one, _ in probes] == list(range(20))
    assert most == probe.AT_ONCE


async def test_no_key_is_logged(
    gemini: FakeGemini, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gemini.keys = {GOOD}

    await probe.probe(client, gemini.url, key(), NOW)
    probed = await probe.probe(client, gemini.url, key(secret=BAD), NOW)

    assert GOOD not in caplog.text + repr(probed)
    assert BAD not in caplog.text + repr(probed)


def refused(reason: str = "Google says: leaked") -> probe.Probed:
    return probe.Probed(Verdict(Outcome.KEY_REJECTED, 403, reason, disable=reason))


def test_a_good_probe_revives_only_what_google_had_disabled(data: None) -> None:
    for number, by in enumerate(["google", "admin", "environment", ""], 1):
        stored(number, f"AIza{number}", by)
    before = runtime.load().revision

    settled = probe.settle([(key(number), probe.Probed(None)) for number in range(1, 5)])

    assert settled == probe.Settled(revived=1, disabled=0)
    assert list(Key.objects.order_by("pk").values_list("disabled_by", flat=True)) == ["", "admin", "environment", ""]
    assert runtime.load().revision == before + 1


def test_a_refused_key_is_disabled_with_the_reason(data: None) -> None:
    stored(1, "AIza1")
    stored(2, "AIza2", "admin")

    settled = probe.settle([(key(1), refused()), (key(2), refused())])

    assert settled == probe.Settled(revived=0, disabled=1)
    one, two = Key.objects.order_by("pk")
    assert (one.disabled_by, one.disabled_reason, two.disabled_by) == ("google", "Google says: leaked", "admin")


def test_probes_that_change_nothing_move_nothing(data: None) -> None:
    stored(1, "AIza1")
    before = runtime.load().revision

    probe.settle([(key(1), probe.Probed(None)), (key(1), probe.Probed(Verdict(Outcome.TIMEOUT, 0, "slow")))])

    assert runtime.load().revision == before


async def refresh(client: httpx.AsyncClient, url: str, *keys: PoolKey) -> tuple[bool, list[int]]:
    refused: list[int] = []
    good = await probe.refresh_models(client, url, keys, lambda one, _: refused.append(one.id))
    return good, refused


async def names() -> list[str]:
    return list(await in_thread(lambda: list(UpstreamModel.objects.values_list("name", flat=True))))


async def test_it_saves_the_union_of_what_the_keys_see(
    data: None, gemini: FakeGemini, client: httpx.AsyncClient
) -> None:
    gemini.models = tuple(Model(name, name) for name in ("gemini-a", "gemini-b", "gemini-c"))
    gemini.offers = {"AIza1": ("gemini-a",), "AIza2": ("gemini-a", "gemini-c")}

    good, refused = await refresh(client, gemini.url, key(1, "AIza1"), key(2, "AIza2"))

    assert (good, refused) == (True, [])
    assert await names() == ["gemini-a", "gemini-c"]
    facts = (await in_thread(runtime.load)).models["gemini-a"]
    assert (facts.input_limit, facts.output_limit) == (1_048_576, 65_536)
    assert facts.methods[0] == "generateContent"


async def test_a_model_that_google_dropped_is_forgotten(
    data: None, gemini: FakeGemini, client: httpx.AsyncClient
) -> None:
    gemini.models = (Model("gemini-a", "a"), Model("gemini-b", "b"))
    await refresh(client, gemini.url, key())
    gemini.models = (Model("gemini-b", "b"),)

    await refresh(client, gemini.url, key())

    assert await names() == ["gemini-b"]


async def test_a_model_stays_while_one_of_the_keys_cannot_be_asked(
    data: None, gemini: FakeGemini, client: httpx.AsyncClient
) -> None:
    gemini.models = (Model("gemini-a", "a"), Model("gemini-b", "b"))
    gemini.keys = {GOOD, "AIzaSyOther"}
    await refresh(client, gemini.url, key())
    gemini.models = (Model("gemini-b", "b"),)
    gemini.keys = {GOOD}

    _, refused = await refresh(client, gemini.url, key(), key(2, "AIzaSyOther"))

    assert refused == [2]
    assert await names() == ["gemini-a", "gemini-b"]


async def test_an_outage_keeps_the_list(data: None, gemini: FakeGemini, client: httpx.AsyncClient) -> None:
    await refresh(client, gemini.url, key())
    before = await names()

    good, _ = await refresh(client, "http://127.0.0.1:1", key())

    assert not good
    assert await names() == before != []


async def test_an_unchanged_list_moves_no_revision(data: None, gemini: FakeGemini, client: httpx.AsyncClient) -> None:
    await refresh(client, gemini.url, key())
    before = (await in_thread(runtime.load)).revision

    await refresh(client, gemini.url, key())

    assert (await in_thread(runtime.load)).revision == before


async def test_the_keeper_asks_first_and_again_when_the_keys_are_others(
    data: None, gemini: FakeGemini, client: httpx.AsyncClient
) -> None:
    keys = [key(1)]
    changed = asyncio.Event()
    keeper = asyncio.create_task(
        probe.keep_models_fresh(client, gemini.url, lambda: keys, lambda one, verdict: None, changed)
    )
    await until(lambda: len(gemini.calls) == 1)
    await asyncio.sleep(0.1)

    changed.set()
    await asyncio.sleep(0.1)
    calls_for_the_same_keys = len(gemini.calls)
    keys.append(key(2, "AIzaSyOther"))
    changed.set()
    await until(lambda: len(gemini.calls) == 3)

    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert calls_for_the_same_keys == 1


async def test_the_keeper_waits_for_a_first_key(data: None, gemini: FakeGemini, client: httpx.AsyncClient) -> None:
    keys: list[PoolKey] = []
    changed = asyncio.Event()
    keeper = asyncio.create_task(
        probe.keep_models_fresh(client, gemini.url, lambda: keys, lambda one, verdict: None, changed)
    )
    await asyncio.sleep(0.05)

    keys.append(key(1))
    changed.set()
    await until(lambda: len(gemini.calls) == 1)

    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)


def test_at_most_eight_usable_keys_are_asked_always_the_same() -> None:
    keys = [key(number) for number in range(30, 0, -1)] + [key(0, disabled=True), key(-1, kind="vertex_express")]

    assert [one.id for one in probe.sample_of(keys)] == list(range(1, 9))


def test_the_command_probes_keys_and_prints_no_secret(
    data: None, gemini: FakeGemini, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.GEMINI_BASE_URL = gemini.url
    gemini.keys = {GOOD}
    stored(1, GOOD, "google")
    stored(2, BAD)
    stored(3, "AIzaSyOut", "admin")

    call_command("probe_keys")

    printed = capsys.readouterr().out
    assert "2 keys probed: 1 brought back, 1 disabled." in printed
    assert GOOD not in printed
    assert BAD not in printed


async def test_the_command_neither_prints_nor_stores_a_key_of_another_form_that_google_quotes(
    data: None, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async def suspended(_: web.Request) -> web.Response:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "CONSUMER_SUSPENDED"}
        said = {"status": "PERMISSION_DENIED", "message": f"Sorry, {ODD} has been suspended.", "details": [info]}
        return web.json_response({"error": {"code": 403} | said}, status=403)

    await in_thread(lambda: stored(1, ODD))

    async with google(suspended) as url:
        settings.GEMINI_BASE_URL = url
        await in_thread(lambda: call_command("probe_keys"))

    printed = capsys.readouterr().out
    assert "Sorry, *** has been suspended." in printed
    assert ODD not in printed
    assert "***" in (reason := await in_thread(lambda: Key.objects.get(pk=1).disabled_reason))
    assert ODD not in reason
