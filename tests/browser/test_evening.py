"""An admin's first evening in one go: log in, paste keys, probe, make a member, watch a chat, block, set."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.conftest import log_in
from tests.gemini import answer, error
from tests.service.houses import House, house
from tests.serving import chat

if TYPE_CHECKING:
    from playwright.sync_api import Page

GOOD = [f"AIzaSyBrowserTest-----------------{number:05}" for number in range(42)]
DEAD = GOOD[0]
MODEL = "gemini-2.5-pro"
SEEN_MS = 2_000
SETTINGS = "/admin/proxy/settings/1/change/"


@pytest.fixture
def empty(tmp_path) -> Iterator[House]:
    """A house without any key, in which one of the keys that will be pasted is dead."""
    with house(tmp_path, GEMINI_API_KEYS=None) as running:
        running.gemini.keys = set(GOOD[1:])
        yield running


def pasted() -> str:
    """Fifty words: 42 keys, 5 of them again, 3 half ones."""
    words = [*GOOD, *GOOD[:5], GOOD[0][:-3], "AIzaSy", "not-a-key-at-all"]
    assert len(words) == 50
    return "\n".join(words)


def test_the_first_evening(empty: House, visit: Callable[..., Page]) -> None:
    page = visit(empty, "/admin/keys/key/")
    log_in(page)
    assert "No keys yet" in page.inner_text("#content")

    _import_and_probe(page)
    password = _make_a_member(page)
    quoted = _see_a_chat_live(empty, page, password)
    _find_its_row(page, quoted)
    _block_the_model(empty, page, password)
    _switch_fake_streaming(empty, page, password)

    assert not any(secret in page.content() for secret in (*GOOD, password))


def _import_and_probe(page: Page) -> None:
    page.click("text=Import keys")
    page.fill("textarea[name=keys]", pasted())
    page.click("#import-form button[type=submit]")
    page.wait_for_selector("#import-report")
    assert "42 added" in page.inner_text("body")
    report = page.locator("#import-report tbody tr").all_inner_texts()
    assert sum("stands already in line" in line for line in report) == 5
    assert sum("not a key" in line for line in report) == 3

    page.click("text=Probe the new keys")
    page.wait_for_selector("#probe-sum:has-text('Done.')", timeout=60_000)
    assert "41 ✓" in page.inner_text("#probe-sum")
    assert page.inner_text("#probe-count") == "42 / 42"
    assert not any(key in page.content() for key in GOOD)


def _make_a_member(page: Page) -> str:
    page.goto("/admin/keys/member/add/")
    page.fill("input[name=name]", "Anna")
    page.click("button[name=_save]")
    return page.locator("#passwords code").first.inner_text()


def _see_a_chat_live(here: House, page: Page, password: str) -> str:
    """Chat as the member: refused once upstream, then answered; return the request's id as its client sees it."""
    page.goto("/admin/")
    page.wait_for_selector("#dashboard[data-state=live]")
    here.gemini.replies(error("overloaded"), answer("hi", held=True), model=MODEL)
    before = len(here.gemini.generated)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(_chat(here, password)))
    asking.start()
    here.gemini.wait_until(lambda: len(here.gemini.generated) == before + 2)

    row = page.locator("#dash-running tr", has_text="Anna")
    row.wait_for(timeout=SEEN_MS)
    assert MODEL in row.inner_text()
    assert f"…{here.gemini.keys_used[-1][-4:]}" in row.inner_text()
    here.gemini.release()
    asking.join()
    page.wait_for_selector("#dash-running tr[data-over]", timeout=SEEN_MS)
    page.wait_for_selector("#dash-members td:has-text('Anna')")
    assert answers[0].json()["choices"][0]["message"]["content"] == "hi"
    return answers[0].headers["x-request-id"]


def _find_its_row(page: Page, quoted: str) -> None:
    page.goto(f"/admin/proxy/requestlog/?q={quoted}")
    assert "Anna" in page.inner_text("#result_list")
    page.click("[data-label='Expand row']")
    attempts = page.locator("#attempts tbody tr").all_inner_texts()
    assert len(attempts) == 2
    assert "overloaded" in attempts[0]
    assert "answered" in attempts[1]


def _block_the_model(here: House, page: Page, password: str) -> None:
    page.goto("/admin/proxy/blockedmodel/add/")
    page.fill("input[name=pattern]", MODEL)
    page.click("button[name=_save]")
    page.wait_for_selector(f"text={MODEL}")

    refused = _chat(here, password)
    assert refused.status_code == 404
    assert MODEL in refused.json()["error"]["message"]
    page.goto("/admin/")
    page.wait_for_selector("#dash-refusals td:has-text('Anna')")


def _switch_fake_streaming(here: House, page: Page, password: str) -> None:
    def ways() -> list[str]:
        here.clear()
        _chat(here, password, model="gemini-2.5-flash", stream=True)
        return [call.path.rpartition(":")[2] for call in here.gemini.generated]

    assert ways() == ["generateContent"]
    page.goto(SETTINGS)
    page.select_option("select[name=fake_streaming]", "false")
    page.click("button[name=_continue]")
    page.wait_for_selector("#changes td")
    assert ways() == ["streamGenerateContent"]


def _chat(here: House, password: str, model: str = MODEL, **fields: object) -> httpx.Response:
    with here.server.client(password) as client:
        return client.post("/v1/chat/completions", json=chat(model=model, **fields))
