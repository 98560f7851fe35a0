"""A minute of everything at once, with asyncio's own watchdog on: python -m tests.soak [seconds].

Chats, streams that clients hang up on, admin pages, websocket knocks and rubbish, from many clients. It
fails when the server dies, touches a connection from another thread, drops a pending task, logs a
traceback, forgets an answered request, or leaves a call to Gemini running.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.gemini import FakeGemini, answer, empty, error, hang, reset
from tests.points import Points
from tests.serving import ADMIN_PASSWORD, Server, chat

CLIENTS = 16
TROUBLE = re.compile(
    r"Non-thread-safe|was destroyed but it is pending|Traceback|never awaited|never retrieved|Unclosed"
)
ADMIN_PAGES = ("/admin/", "/admin/keys/key/", "/admin/keys/member/", "/admin/proxy/requestlog/", "/", "/readyz")

Act = Callable[["Visitor"], Awaitable[None]]


class Visitor:
    """One client and what it counts together with the others."""

    def __init__(self, server: Server, cookies: httpx.Cookies, seed: int, counts: Counter[str]) -> None:
        self.server = server
        self.cookies = cookies
        self.dice = random.Random(seed)
        self.counts = counts

    async def visit(self, end: float) -> None:
        """Do one thing after another until ``end`` (monotonic seconds)."""
        async with self.server.async_client(timeout=60) as self.client:
            while time.monotonic() < end:
                act = self.dice.choice(ACTS)
                await act(self)
                self.counts[act.__name__] += 1


async def whole(visitor: Visitor) -> None:
    answered = await visitor.client.post("/v1/chat/completions", json=chat("hello"))
    visitor.counts["answered"] += answered.status_code == 200


async def streamed(visitor: Visitor) -> None:
    answered = await visitor.client.post("/v1/chat/completions", json=chat("hello", stream=True))
    visitor.counts["answered"] += answered.status_code == 200 and answered.text.endswith("data: [DONE]\n\n")


async def hung_up_while_streaming(visitor: Visitor) -> None:
    async with visitor.client.stream("POST", "/v1/chat/completions", json=chat("hello", stream=True)) as answered:
        async for _ in answered.aiter_bytes():
            return


async def hung_up_before_anything(visitor: Visitor) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(visitor.dice.uniform(0.001, 0.05)):
            await visitor.client.post("/v1/chat/completions", json=chat("hello", stream=visitor.dice.random() < 0.5))


async def models(visitor: Visitor) -> None:
    assert (await visitor.client.get("/v1/models")).status_code == 200


async def rubbish(visitor: Visitor) -> None:
    refused = await visitor.client.post("/v1/chat/completions", content=b"{" * visitor.dice.randint(1, 5000))
    assert refused.status_code == 400, refused.text


async def admin_page(visitor: Visitor) -> None:
    async with visitor.server.async_client("", cookies=visitor.cookies) as browser:
        page = visitor.dice.choice(ADMIN_PAGES)
        assert (await browser.get(page)).status_code == 200, page


def logged_in(server: Server) -> httpx.Cookies:
    """Log in to the admin once: checking its password is meant to be slow."""
    with server.client("") as browser:
        login = browser.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token, login.text
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token[1]}
        assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
        return browser.cookies


async def websocket_knock(visitor: Visitor) -> None:
    address = urlsplit(visitor.server.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ("GET /ws/ HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket", "Connection: Upgrade")
        head = "\r\n".join((*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""))
        writer.write(head.encode())
        async with asyncio.timeout(10):
            await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


ACTS: tuple[Act, ...] = (
    *(whole, whole, streamed, streamed, streamed),
    *(hung_up_while_streaming, hung_up_while_streaming, hung_up_before_anything, hung_up_before_anything),
    *(models, rubbish, admin_page, websocket_knock),
)


async def all_visit(server: Server, seconds: float, counts: Counter[str]) -> None:
    cookies = logged_in(server)
    end = time.monotonic() + seconds
    await asyncio.gather(*(Visitor(server, cookies, seed, counts).visit(end) for seed in range(CLIENTS)))


async def misbehave(gemini: FakeGemini, seconds: float) -> None:
    """Let Gemini fail now and then, in every way."""
    dice = random.Random(7)
    ways = (error("per_minute", retry=1), reset(None), reset(1), empty(), 503, hang(1), answer("slow", before=1.0))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gemini.replies(dice.choice(ways))
        await asyncio.sleep(0.25)


async def storm(server: Server, gemini: FakeGemini, seconds: float, counts: Counter[str]) -> None:
    await asyncio.gather(all_visit(server, seconds, counts), misbehave(gemini, seconds))


def soak(seconds: float, points: Points) -> None:
    """Run the storm and look at what it left."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="hajimi-soak-") as folder, FakeGemini() as gemini:
        gemini.always(answer("one two three four five", delay=0.02))
        choices = {"FAKE_STREAMING": False, "UPSTREAM_TIMEOUT_SECONDS": 5, "PYTHONASYNCIODEBUG": 1}
        server = Server(Path(folder), {"GEMINI_BASE_URL": gemini.url, **choices}).start()
        try:
            with points.point(f"{CLIENTS} clients for {seconds:g} s"):
                asyncio.run(storm(server, gemini, seconds, counts))
            print("       ", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
            with points.point("no call to Gemini outlives its client"):
                gemini.wait_until(lambda: gemini.in_flight == 0, 10)
            with points.point("SIGTERM ends it with exit code 0"):
                assert server.stop(seconds=60) == 0
            with points.point("nothing in its log says that a thread, a task or a connection went astray"):
                trouble = [line for line in server.output.splitlines() if TROUBLE.search(line)]
                assert not trouble, "\n".join(trouble[:20])
            with points.point("every answered request is in the log"):
                rows = server.rows("SELECT count(*) AS n FROM proxy_requestlog WHERE outcome = 'answered'")
                assert rows[0]["n"] >= counts["answered"] > 0, (rows, counts)
        finally:
            if points.failed:
                print(server.output[-8000:])
            server.kill()


def main() -> int:
    # The simulator's own words about clients that hang up.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    points = Points()
    soak(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, points)
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
