"""Fixtures for tests that drive a real Chromium: `make browser` runs them, `make test` does not.

A page fails its test when it logs an error, breaks the content security policy, or asks another host for anything.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.service.houses import House, house
from tests.serving import ADMIN_PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# They need a browser and requirements-slow.txt; `make browser` sees to both.
collect_ignore_glob = [] if os.environ.get("HAJIMI_BROWSER") else ["test_*.py"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 15_000
# Chromium says this of every answer that is no 200, also of those a test asks for.
EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each page has a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A fake Gemini and hajimi in front of it, with three keys, shared by the tests of a module."""
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page of a house: ``visit(house, "/admin/", language="zh-CN", dark=True, size=PHONE)``."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(at: House, path: str = "/", *, language: str = "en", dark: bool = False, size: Any = DESKTOP) -> Page:
        context = chromium.new_context(
            base_url=at.server.base_url,
            locale=language,
            color_scheme="dark" if dark else "light",
            viewport=size,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        host = urlsplit(at.server.base_url).netloc
        page.on("console", lambda message: _note(complaints, message.type, message.text))
        page.on("pageerror", lambda error: complaints.append(f"error in a script: {error}"))
        page.on("request", lambda request: _stay(complaints, host, request.url))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def desk(here: House, visit: Callable[..., Page]) -> Page:
    """The admin's desk, logged in."""
    page = visit(here, "/admin/")
    log_in(page)
    return page


def log_in(page: Page, password: str = ADMIN_PASSWORD, username: str = "admin") -> None:
    """Log in on the page that is shown."""
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#logout-form", state="attached")


def serious_faults(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical on the page that is shown."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']} ({', '.join(node['html'][:120] for node in one['nodes'][:3])})"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


def _note(complaints: list[str], kind: str, text: str) -> None:
    if kind == "error" and not EXPECTED.search(text):
        complaints.append(f"the console says: {text}")


def _stay(complaints: list[str], host: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"data", "blob", "about"} and parts.netloc != host:
        complaints.append(f"asked another host: {url}")
