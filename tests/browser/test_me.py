"""A member's own page in a real browser: by password, by link, with a new password; and what it looks like."""

from __future__ import annotations

import pytest

from tests.browser.conftest import DESKTOP, PHONE, serious_faults
from tests.service.test_me import own


@pytest.mark.parametrize(
    ("language", "dark", "size", "words"),
    [("en", False, DESKTOP, "What is left"), ("zh-CN", True, PHONE, "剩余额度")],
)
def test_a_member_enters_the_password_and_sees_what_is_left(here, visit, language, dark, size, words):
    here.server.chat("hello")
    page = visit(here, "/me", language=language, dark=dark, size=size)
    assert serious_faults(page) == []
    page.fill("input[name=password]", "a wrong guess")
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("[role=alert]")

    page.fill("input[name=password]", here.server.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("#limits")

    assert words in page.inner_text("main")
    assert here.server.password not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert serious_faults(page) == []


def test_a_link_with_the_password_behind_the_hash_leads_straight_in(here, visit):
    page = visit(here, f"/me#{here.server.password}")
    page.wait_for_selector("#limits")
    assert page.url.endswith("/me")

    page.click("[data-copy=sillytavern]")
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('Custom API Key'))")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"Custom API Key: {here.server.password}" in copied
    assert f"{here.server.base_url}/v1" in copied if hasattr(here, "base_url") else "/v1" in copied

    page.click("[data-again] button")
    page.wait_for_selector("[data-again]:not([hidden])")
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
    page.reload()
    assert page.is_visible("input[name=password]")


def test_a_member_changes_its_password_and_goes_on_with_the_new_one(here, visit):
    own(here.server)
    page = visit(here, f"/me#{here.server.password}")
    page.wait_for_selector("#limits")
    assert not page.is_visible("[data-current] input")

    page.click("[data-change] button")
    page.wait_for_selector("#made")
    made = page.inner_text("#made")
    assert len(made) >= 20
    page.click("[data-again] button")
    page.wait_for_selector("#made", state="detached")
    page.fill("input[name=new_password]", here.server.password)
    page.click("[data-change] button")
    page.wait_for_selector("[role=status]")

    assert here.server.chat("hello").status_code == 200


def test_a_member_records_the_next_request_and_reads_what_was_sent(here, visit):
    own(here.server)
    page = visit(here, f"/me#{here.server.password}", size=PHONE, dark=True)
    page.wait_for_selector("#limits")
    page.fill("#record-count", "2")
    page.click("[data-record=POST]")
    page.wait_for_selector("#record-left:text-is('2')")

    for _ in range(20):
        here.server.chat("<b>what I said</b>")
        page.click("[data-record=GET]")
        page.wait_for_timeout(200)
        if page.locator("#recordings details").count():
            break
    page.click("#recordings summary >> nth=0")

    assert "<b>what I said</b>" in page.inner_text("#recordings")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert serious_faults(page) == []
    page.click("[data-record=DELETE]")
    page.wait_for_selector("#recordings details", state="detached")
