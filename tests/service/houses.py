"""A fake Gemini and one hajimi in front of it, shared by the tests of a module: starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy import request_id
from tests.gemini import FakeGemini
from tests.serving import Server


def keys(count: int) -> tuple[str, ...]:
    """Return that many well-formed keys."""
    return tuple(f"AIzaSyFakeKeyOfTheSimulator----------{number:02}" for number in range(1, count + 1))


@dataclass
class House:
    """What a test of this folder talks to. A test begins with ``clear``: no script, no calls."""

    gemini: FakeGemini
    server: Server

    def clear(self) -> House:
        self.gemini.clear()
        return self

    def attempts(self, shown: str) -> list[dict[str, Any]]:
        """Return the attempts of a request, by the id in its x-request-id."""
        return self.server.rows(
            "SELECT * FROM proxy_attempt WHERE request_id = ? ORDER BY number", request_id.parse(shown)
        )

    def log(self, shown: str) -> dict[str, Any]:
        """Return the log row of a request."""
        [row] = self.server.rows("SELECT * FROM proxy_requestlog WHERE id = ?", request_id.parse(shown))
        return row


@contextmanager
def house(folder: Path, **environment: object) -> Iterator[House]:
    """Run both with these environment variables."""
    with FakeGemini() as gemini:
        server = Server(folder / "data", {"GEMINI_BASE_URL": gemini.url, **environment})
        try:
            yield House(gemini, server.start())
        finally:
            server.kill()
