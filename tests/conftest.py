"""Fixtures: a fake Gemini, and hajimi itself as a process in front of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.gemini import FakeGemini
from tests.serving import Server

# A busy machine is no fault of the code; and what CI tries must not change from run to run.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("any machine")


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    """A Gemini that takes any key and says back what was said, until it is told otherwise."""
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def serve(gemini: FakeGemini, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start hajimi with these environment variables; several servers of one test share its DATA_DIR."""
    servers: list[Server] = []

    def start(**environment: object) -> Server:
        server = Server(tmp_path / "data", {"GEMINI_BASE_URL": gemini.url, **environment})
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()
