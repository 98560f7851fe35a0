"""Logging in, and what the desk looks like in each language and light."""

from __future__ import annotations

import pytest

from tests.browser.conftest import DESKTOP, PHONE, log_in, serious_faults


@pytest.mark.parametrize(
    ("language", "dark", "size", "words"),
    [("en", False, DESKTOP, "Latest refusals"), ("zh-CN", True, PHONE, "最近的拒绝")],
)
def test_the_desk_opens_in_the_browser_s_language_and_light(here, visit, language, dark, size, words):
    page = visit(here, "/admin/", language=language, dark=dark, size=size)
    assert serious_faults(page) == []
    log_in(page)

    assert words in page.inner_text("#content")
    assert page.evaluate("document.documentElement.classList.contains('dark')") is dark
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert serious_faults(page) == []


def test_the_language_can_be_switched(desk):
    desk.locator("form[action='/language/setlang/'] button", has_text="zh-hans").dispatch_event("click")

    desk.wait_for_selector("html[lang=zh-hans]")
    assert "最近的拒绝" in desk.inner_text("#content")
