"""The live dashboard: who may watch, what is seen of a request and when, and what is never sent."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.gemini import answer, empty, error
from tests.service.houses import House, house
from tests.serving import ADMIN_PASSWORD, KEYS, PASSWORD, chat

SOCKET = "/admin/dashboard/live"
SNAPSHOT = "/admin/dashboard/snapshot"
SECRETS = (*KEYS, PASSWORD, ADMIN_PASSWORD, "a prompt of my own")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), FAKE_STREAMING="false") as started:
        yield started


@pytest.fixture
def here(running: House) -> Iterator[House]:
    running.gemini.hold()
    yield running.clear()
    running.gemini.release()


@asynccontextmanager
async def admin(here: House, origin: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a browser that is logged in to the admin."""
    base = here.server.base_url
    headers = {"origin": base if origin is None else origin}
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base, cookie_jar=jar, headers=headers) as browser:
        await log_in(browser)
        yield browser


async def log_in(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/admin/login/") as page:
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', await page.text()))
    form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token}
    async with browser.post("/admin/login/?next=/admin/", data=form, headers={"referer": str(page.url)}) as page:
        assert page.url.path == "/admin/"


async def next_snapshot(socket: aiohttp.ClientWebSocketResponse, condition: Callable[[Any], Any]) -> Any:
    """Return the first snapshot that fulfils ``condition``."""
    async with asyncio.timeout(15):
        while True:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            snapshot = orjson.loads(message.data)
            if condition(snapshot):
                return snapshot


def ids(snapshot: Any) -> list[str]:
    return [row["id"] for row in snapshot["refusals"]]


async def test_strangers_and_pages_of_others_are_refused(here: House) -> None:
    base = here.server.base_url
    async with aiohttp.ClientSession(base) as stranger:
        for origin in (base, "https://elsewhere.example", "null"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await stranger.ws_connect(SOCKET, headers={"origin": origin})
            assert refused.value.status == 403
        async with stranger.get(SNAPSHOT) as answered:
            assert answered.status == 403
        async with stranger.get("/admin/dashboard/", allow_redirects=False) as answered:
            assert answered.status == 302
    async with admin(here) as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(SOCKET, headers={"origin": "https://elsewhere.example"})
        assert refused.value.status == 403


async def test_a_request_is_seen_while_it_runs_and_after(here: House) -> None:
    here.gemini.always(answer("pong", held=True))
    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        await next_snapshot(socket, lambda snapshot: not snapshot["running"])
        async with here.server.async_client() as client:
            asked = asyncio.create_task(client.post("/v1/chat/completions", json=chat("a prompt of my own")))
            began = time.time()
            seen = await next_snapshot(socket, lambda snapshot: snapshot["running"])
            [row] = seen["running"]
            assert row["started"] - began < 1
            assert (row["member"], row["model"], row["attempt"]) == ("shared", "gemini-2.5-flash", 1)
            assert row["keys"] == [here.gemini.keys_used[-1][-4:]]
            assert not row["speaks"]
            assert seen["in_flight"] == 1
            here.gemini.release()
            answered = await asked
        over = await next_snapshot(socket, lambda snapshot: not snapshot["running"])

    [row] = [row for row in over["ended"] if row["id"] == answered.headers["x-request-id"]]
    assert (row["outcome"], row["attempt"]) == ("answered", 1)
    assert sum(over["minutes"]["answered"]) >= 1
    assert sum(over["minutes"]["tokens"]) > 0
    assert over["rates"]["first_median"] > 0
    assert over["keys"]["ready"] == 3


async def test_no_secret_is_in_any_frame(here: House) -> None:
    here.gemini.replies(error("suspended"), empty(), answer("pong"))
    frames: list[str] = []
    async with admin(here) as browser, browser.ws_connect(f"{SOCKET}?language=zh-hans") as socket:
        async with here.server.async_client() as client:
            await client.post("/v1/chat/completions", json=chat("a prompt of my own"))
            await client.post("/v1/chat/completions", json=chat("a prompt of my own", model=KEYS[0]))
            await client.post(f"/v1/{KEYS[1]}", json={})
        async with here.server.async_client("not-" + PASSWORD) as client:
            await client.post("/v1/chat/completions", json=chat("a prompt of my own"))
        while len(frames) < 6:
            frames.append(await socket.receive_str())

    assert '"refusals":[{' in frames[-1]
    assert not [secret for secret in SECRETS for frame in frames if secret in frame]


async def test_refusals_are_told_with_their_sentences_in_the_viewer_s_language(here: House) -> None:
    here.gemini.replies(error("location"))
    refused = here.server.chat()
    shown = refused.headers["x-request-id"]
    with here.server.client("wrong-password") as client:
        for _ in range(3):
            client.post("/v1/chat/completions", json=chat())
    async with admin(here) as browser:
        texts = {}
        for language in ("en", "zh-hans"):
            async with browser.ws_connect(f"{SOCKET}?language={language}") as socket:
                snapshot = await next_snapshot(socket, lambda snapshot: shown in ids(snapshot))
            texts[language] = {row["text"] for row in snapshot["refusals"]}

    sentence = "Google does not serve the location of this server, so no key can answer: User location"
    assert refused.json()["error"]["message"].startswith(sentence)
    assert any(text.startswith(sentence) for text in texts["en"])
    assert any(text.startswith("这里没有这个密码") for text in texts["zh-hans"])
    assert any(row["count"] >= 3 for row in snapshot["refusals"] if row["status"] == 401)
    [row] = [row for row in snapshot["refusals"] if row["id"] == shown]
    assert (row["who"], row["model"], row["status"]) == ("shared", "gemini-2.5-flash", 502)


async def test_a_member_refused_before_any_attempt_is_named_a_stranger_is_not(here: House) -> None:
    unknown = here.server.chat(model="no-such-model")
    with here.server.client("wrong-password") as client:
        stranger = client.post("/v1/chat/completions", json=chat())
    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        snapshot = await next_snapshot(socket, lambda snapshot: unknown.headers["x-request-id"] in ids(snapshot))

    who = {row["id"]: row["who"] for row in snapshot["refusals"]}
    assert who[unknown.headers["x-request-id"]] == "shared"
    assert who[stranger.headers["x-request-id"]] == "127.0.0.1"


async def test_a_page_without_a_websocket_asks_for_the_same(here: House) -> None:
    async with admin(here) as browser, browser.get(SNAPSHOT, headers={"accept-language": "zh-CN"}) as answered:
        assert answered.status == 200
        assert answered.headers["cache-control"] == "no-store"
        snapshot = await answered.json()

    assert {"now", "running", "minutes", "models", "keys", "members", "refusals", "upstream"} <= snapshot.keys()
    assert len(snapshot["minutes"]["answered"]) == 60


async def test_whoever_logs_out_is_shown_no_more(here: House) -> None:
    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        await socket.receive_str()
        token = next(cookie.value for cookie in browser.cookie_jar if cookie.key == "csrftoken")
        page = {"referer": f"{here.server.base_url}/admin/", "x-csrftoken": token}
        async with browser.post("/admin/logout/", headers=page) as answered:
            assert answered.ok
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4401)
        async with browser.get(SNAPSHOT) as answered:
            assert answered.status == 403


async def test_an_admin_who_is_staff_no_more_is_shown_no_more(here: House) -> None:
    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        await socket.receive_str()
        here.server.write(("UPDATE auth_user SET is_staff = ?", [False]))
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4401)
        here.server.write(("UPDATE auth_user SET is_staff = ?", [True]))


async def test_an_open_dashboard_does_not_hold_up_the_end(here: House) -> None:
    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        await socket.receive_str()
        here.server.signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
    # uvicorn's own word is "service restart"; the page connects again after either.
    farewells = aiohttp.WSCloseCode.GOING_AWAY, aiohttp.WSCloseCode.SERVICE_RESTART
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert message.data in farewells
    assert here.server.wait() == 0
    here.server.start()


async def test_what_members_have_used_today_outlives_a_restart(here: House) -> None:
    assert here.server.chat().status_code == 200
    here.server.restart()

    async with admin(here) as browser, browser.get(SNAPSHOT) as answered:
        [member] = (await answered.json())["members"]

    assert (member["name"], member["requests"] > 0, member["tokens"] > 0) == ("shared", True, True)


async def test_what_google_told_of_its_day_quota_is_kept(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        await _check_day_quota(here)


async def _check_day_quota(here: House) -> None:
    here.gemini.replies(error("per_day", limit=7))
    here.gemini.always(answer("pong"))
    assert here.server.chat(model="gemini-2.5-pro").status_code == 200

    here.server.restart(API_KEY_DAILY_LIMIT=100)

    async with admin(here) as browser, browser.ws_connect(SOCKET) as socket:
        snapshot = await next_snapshot(socket, lambda snapshot: snapshot["models"])
    [pro] = [model for model in snapshot["models"] if model["model"] == "gemini-2.5-pro"]
    # Of three keys one has used up its day, one has answered once; the others' limit is taken to be the same.
    assert (pro["left"], pro["is_guessed"], pro["used"]) == (6 + 7, True, 1)
    assert (pro["ready"], pro["serving"]) == (2, 3)
