"""The pictures of an admin's first evening in the documents: each scene in both languages, lights and widths."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httpx

from proxy import request_id
from tests.gemini import FakeGemini, answer, error
from tests.serving import ADMIN_PASSWORD, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOOKS: Final = (
    ("en", "en", "light", WIDE),
    ("en", "en", "dark", PHONE),
    ("zh", "zh-CN", "dark", WIDE),
    ("zh", "zh-CN", "light", PHONE),
)
MODEL: Final = "gemini-2.5-pro"
QUALITY: Final = 0.8
# Drawn anew by the browser: it writes WebP, a third of PNG's size.
TO_WEBP: Final = """async ([png, quality]) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


def take(browser: Browser, server: Server, gemini: FakeGemini, folder: Path) -> None:
    """Take all pictures of the evening into ``folder``."""
    log = _answered_by_the_second_key(server, gemini)
    for number, (short, language, light, size) in enumerate(LOOKS):
        context = browser.new_context(
            base_url=server.base_url, locale=language, viewport=cast(Any, size), color_scheme=cast(Any, light)
        )
        page = context.new_page()
        _log_in(page)
        scenes: tuple[tuple[str, Callable[[], None]], ...] = (
            ("import", lambda page=page, number=number: _import(page, number)),
            ("live", lambda page=page: _dashboard(page, server, gemini)),
            ("attempts", lambda page=page: _attempts(page, log)),
            ("settings", lambda page=page: _settings(page)),
        )
        for name, show in scenes:
            show()
            page.wait_for_timeout(400)
            _save(browser, page, folder / f"evening-{name}-{short}-{light}-{size['width']}.webp")
        gemini.release()
        context.close()


def _log_in(page: Page) -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", ADMIN_PASSWORD)
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#logout-form", state="attached")


def _import(page: Page, number: int) -> None:
    keys = [f"AIzaSyPictureOfTheEvening{number}----------{key:03}" for key in range(6)]
    page.goto("/admin/keys/key/import/")
    page.fill("textarea[name=keys]", "\n".join([*keys, keys[0], keys[3], keys[1][:-4], "AIzaSy", "not-a-key-at-all"]))
    page.click("#import-form button[type=submit]")
    page.wait_for_selector("#import-report")


def _dashboard(page: Page, server: Server, gemini: FakeGemini) -> None:
    gemini.hold()
    gemini.replies(*[answer("Once upon a time", held=True)] * 2, model=MODEL)
    for _ in range(2):
        threading.Thread(target=server.chat, kwargs={"model": MODEL}, daemon=True).start()
    page.goto("/admin/")
    page.wait_for_selector("#dash-running td:has-text('gemini')")
    page.wait_for_selector("#dash-models progress")


def _answered_by_the_second_key(server: Server, gemini: FakeGemini) -> httpx.Response:
    gemini.replies(error("overloaded"), answer("Once upon a time"), model=MODEL)
    return server.chat(model=MODEL)


def _attempts(page: Page, said: httpx.Response) -> None:
    page.goto(f"/admin/proxy/requestlog/?q={said.headers['x-request-id']}")
    assert request_id.parse(said.headers["x-request-id"])
    page.locator("#result_list .material-symbols-outlined").first.click()
    page.wait_for_selector("#attempts tbody tr", state="visible")


def _settings(page: Page) -> None:
    page.goto("/admin/proxy/settings/1/change/")
    page.select_option("select[name=fake_streaming]", "true")


def _save(browser: Browser, page: Page, path: Path) -> None:
    png = base64.b64encode(page.screenshot(animations="disabled")).decode()
    blank = browser.new_page()
    path.write_bytes(base64.b64decode(blank.evaluate(TO_WEBP, [png, QUALITY])))
    blank.close()
    print(path.name, path.stat().st_size // 1000, "kB", flush=True)
