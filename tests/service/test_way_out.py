"""The proxy that the environment names carries what goes to Google, unless NO_PROXY says otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.service.houses import house


class Forwarding(BaseHTTPRequestHandler):
    """A forward proxy for plain HTTP, which notes the addresses that it is asked for."""

    def do_POST(self) -> None:
        self._forward()

    def do_GET(self) -> None:
        self._forward()

    def _forward(self) -> None:
        assert isinstance(self.server, Proxy)
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: self.headers[name] for name in ("x-goog-api-key", "content-type") if name in self.headers}
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.request(self.command, self.path, content=body, headers=headers)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


class Proxy(ThreadingHTTPServer):
    """The proxy, and what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.asked: list[str] = []


@contextmanager
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield running
        finally:
            running.shutdown()


def test_what_goes_to_google_goes_through_the_proxy(tmp_path: Path) -> None:
    # Without a scheme, as many write it.
    with proxy() as carrying, house(tmp_path, HTTP_PROXY=f"127.0.0.1:{carrying.server_port}") as started:
        told = started.server.chat("ping")

        assert told.status_code == 200
        assert len(started.gemini.generated) == 1
        chats = [address for address in carrying.asked if "enerateContent" in address]
        assert len(chats) == 1
        assert chats[0].startswith(started.gemini.url)


def test_what_no_proxy_names_goes_past_the_proxy(tmp_path: Path) -> None:
    with (
        proxy() as carrying,
        house(tmp_path, HTTP_PROXY=f"http://127.0.0.1:{carrying.server_port}", NO_PROXY="127.0.0.1") as started,
    ):
        assert started.server.chat("ping").status_code == 200
        assert len(started.gemini.generated) == 1
        assert carrying.asked == []
