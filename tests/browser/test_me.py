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
    page.click("[data-sure] button[value=yes]")
    page.wait_for_selector("#made")
    made = page.inner_text("#made")
    assert len(made) >= 20
    page.click("[data-again] button")
    page.wait_for_selector("#made", state="detached")
    page.fill("input[name=new_password]", here.server.password)
    page.click("[data-change] button")
    page.click("[data-sure] button[value=yes]")
    page.wait_for_selector("[role=status]")

    assert here.server.chat("hello").status_code == 200


@pytest.mark.parametrize(("language", "dark", "size"), [("en", False, DESKTOP), ("zh-CN", True, PHONE)])
def test_a_password_is_replaced_only_after_a_second_look(here, visit, language, dark, size):
    own(here.server)
    page = visit(here, f"/me#{here.server.password}", language=language, dark=dark, size=size)
    page.wait_for_selector("#limits")

    page.focus("[data-change] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-sure]")
    assert page.is_visible("[data-sure] button[value=yes]")
    assert serious_faults(page) == []
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-sure]", state="hidden")
    page.focus("[data-change] button")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-sure]", state="hidden")

    assert here.server.chat("hello").status_code == 200
    assert page.locator("#made").count() == 0


def test_a_link_opened_while_the_page_of_another_is_shown_is_taken(here, visit):
    own(here.server)
    page = visit(here, f"/me#{here.server.password}")
    page.wait_for_selector("#limits")

    page.evaluate("location.hash = 'a-password-of-nobody'")
    page.wait_for_selector("[role=alert]")
    page.evaluate("(password) => { location.hash = password; }", here.server.password)
    page.wait_for_selector("#limits")

    assert page.url.endswith("/me")
    assert page.inner_text("h1") == "Anna"


def test_the_language_is_changed_without_asking_for_the_password_again(here, visit):
    page = visit(here, f"/me#{here.server.password}", size=PHONE)
    page.wait_for_selector("#limits")

    page.click("[data-language] button")
    page.wait_for_selector("html[lang=zh-hans]")
    assert "剩余额度" in page.inner_text("main")
    page.goto("/")
    assert "可用密钥" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.click("[data-language] button")
    page.wait_for_selector("html[lang=en]")
    page.goto("/admin/login/")
    assert serious_faults(page) == []
    page.click("[data-language] button")
    page.wait_for_selector("html[lang=zh-hans]")
    assert "登录" in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


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
