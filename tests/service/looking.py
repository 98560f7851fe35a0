"""How the canary runs look around: what they keep of answers, frames, pages and files, and search afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import httpx
import redis

from proxy.dashboard.views import SOCKET_PATH
from tests.canaries import CANARIES, SHARED, disguises
from tests.gemini import FakeGemini
from tests.service.tiny_process import until
from tests.serving import Server, chat

LARGEST_CRAWL = 400
LAST = "ECHO the-end-of-the-run"


@dataclass
class Seen:
    """Everything that came out, by where; answers to a member's own successful requests apart."""

    texts: dict[str, bytes] = field(default_factory=dict)
    canaries: dict[str, str] = field(default_factory=lambda: dict(CANARIES))

    def add(self, where: str, text: bytes | str) -> None:
        self.texts[where] = self.texts.get(where, b"") + (text.encode() if isinstance(text, str) else text)

    def around(self, name: str) -> dict[str, bytes]:
        """Return what stands around the canary of this name, by where it was found."""
        places: dict[str, bytes] = {}
        for where, text in self.texts.items():
            for disguise in disguises(self.canaries[name]):
                if (at := text.find(disguise)) >= 0:
                    places[where] = text[max(at - 150, 0) : at + 50]
        return places


@dataclass
class Run:
    gemini: FakeGemini
    server: Server
    seen: Seen = field(default_factory=Seen)

    def ask(self, client: httpx.Client, method: str, path: str, **options) -> httpx.Response:
        """Send one request; what a refusal says, in body, headers and reason phrase, is kept."""
        response = client.request(method, path, **options)
        head = f"{response.reason_phrase} {dict(response.headers)}"
        self.seen.add("heads of answers", head)
        if response.status_code >= 400:
            self.seen.add(f"refusal of {method} {path.partition('?')[0][:40]}", response.content)
        return response


def folder_bytes(folder: Path) -> bytes:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.exists() else []
    return b"\0".join(path.name.encode() + path.read_bytes() for path in files)


@contextmanager
def frames(run: Run, browser: httpx.Client) -> Iterator[None]:
    """Keep everything that the dashboard's websocket says meanwhile."""
    stop = threading.Event()
    headers = {"origin": run.server.base_url}
    headers["cookie"] = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    async def listen() -> None:
        address = run.server.base_url + SOCKET_PATH
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(address) as socket:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    message = await socket.receive(timeout=0.5)
                    run.seen.add("websocket frames", str(message.data))

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    yield
    stop.set()
    thread.join()


def crawl(run: Run, browser: httpx.Client, *, most_of_a_kind: int = 6) -> None:
    """Follow every link of every page, once; what logs out or changes the language is left alone."""
    waiting, met = ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/admin/"], set()
    kinds: dict[str, int] = {}
    while waiting and len(met) < LARGEST_CRAWL:
        path = waiting.pop(0)
        # A few pages of each kind are enough: rows differ by their numbers, lists by their filters.
        kind = re.sub(r"\d+", "0", path.partition("?")[0]) + ("?" if "?" in path else "")
        kinds[kind] = kinds.get(kind, 0) + 1
        if path in met or kinds[kind] > most_of_a_kind:
            continue
        met.add(path)
        page = browser.get(path, follow_redirects=True)
        assert page.status_code < 500, (path, page.status_code)
        run.seen.add(f"page {kind}", page.content)
        if "text/html" in page.headers.get("content-type", ""):
            found_links = re.findall(r'(?:href|src|action)="([^"#]+)', page.text)
            links = (urljoin(str(page.url), html.unescape(link)) for link in found_links)
            waiting += [relative(link) for link in links if is_ours(run, link)]
    run.seen.add("how many pages were crawled", str(len(met)))


def is_ours(run: Run, link: str) -> bool:
    return link.startswith(run.server.base_url) and not re.search(r"/logout/|/language/|/static/", link)


def relative(link: str) -> str:
    parts = urlsplit(link)
    return parts.path + (f"?{parts.query}" if parts.query else "")


@contextlib.contextmanager
def watched(run: Run, url: str) -> Iterator[None]:
    """Keep every command that is sent to Redis meanwhile: what it holds, what ends soon, and what is published."""

    def listen() -> None:
        with contextlib.closing(redis.Redis.from_url(url)) as client, client.monitor() as monitor:
            begun.set()
            for told in monitor.listen():
                run.seen.add("what is sent to Redis", told["command"] + "\n")
                if told["command"] == LAST:
                    return

    begun = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            client.execute_command(*LAST.split())
        thread.join()


def held_by(url: str) -> bytes:
    """Return every name in Redis with its value, as Redis itself would move it elsewhere."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        return b"\0".join(name + b"=" + (client.dump(name) or b"") for name in client.scan_iter("*"))


def revive(run: Run) -> None:
    """Enable every key again, and free the parked ones; keep what was noted of them."""
    reasons = "SELECT disabled_reason AS told FROM keys_key UNION ALL SELECT message FROM proxy_attempt"
    rows = run.server.rows(f"{reasons} UNION ALL SELECT message FROM proxy_requestlog")
    run.seen.add("reasons and messages", " ".join(row["told"] for row in rows))
    run.server.write(
        ("DELETE FROM keys_park", ()),
        ("UPDATE keys_key SET disabled_by = '', disabled_reason = ''", ()),
        ("UPDATE proxy_revision SET number = number + 1", ()),
    )
    run.gemini.clear()
    with run.server.client(SHARED) as client:
        assert until(lambda: client.post("/v1/chat/completions", json=chat()).status_code == 200)
