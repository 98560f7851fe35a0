"""Two houses for every client: one collects streamed answers first, one passes them on as they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.houses import House, house, keys

ENVIRONMENT = {"MAX_ATTEMPTS": 4, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1, "HEARTBEAT_SECONDS": 0.1}


@pytest.fixture(scope="session")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("collecting"), GEMINI_API_KEYS=keys(3), **ENVIRONMENT) as started:
        yield started


@pytest.fixture(scope="session")
def passing_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("passing-on")
    with house(folder, GEMINI_API_KEYS=keys(3), FAKE_STREAMING=False, **ENVIRONMENT) as started:
        yield started


@pytest.fixture
def stage(passing_on: House) -> House:
    return passing_on.clear()


@pytest.fixture(params=["collecting", "passing_on"])
def either(request: pytest.FixtureRequest) -> House:
    return request.getfixturevalue(request.param).clear()
