"""Fixtures: a fake Gemini, and hajimi itself as a process in front of it."""

from __future__ import annotations

import os
import sys
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


# On another server (HAJIMI_TEST_SERVER=uvicorn) these do not run: they are about Daphne as we run it.
OTHER_SERVER = os.environ.get("HAJIMI_TEST_SERVER", "daphne") != "daphne"
ABOUT_DAPHNE = ("server_http", "backpressure", "drain", "drained", "threats_server")
collect_ignore = [f"service/test_{name}.py" for name in ABOUT_DAPHNE] if OTHER_SERVER else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only Daphne as we run it does, on other servers."""
    if not OTHER_SERVER:
        return
    left_out = [item for item in items if item.get_closest_marker("daphne")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish() -> None:
    """Leave no database behind on a server that outlives the tests."""
    if databases := sys.modules.get("tests.databases"):
        databases.drop_what_was_made()


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
