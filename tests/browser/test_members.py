"""Members and settings in a real browser: made, connected, many at once, printed; settings that act at once."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import PHONE, log_in, serious_faults
from tests.serving import chat

LIST, ADD, BULK = "/admin/keys/member/", "/admin/keys/member/add/", "/admin/keys/member/bulk/"
SETTINGS = "/admin/proxy/settings/1/change/"


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def status_with(here, password):
    with here.server.client(password) as client:
        return client.post("/v1/chat/completions", json=chat()).status_code


def test_a_member_is_made_and_chats_with_what_was_copied(here, desk):
    desk.goto(ADD)
    assert serious_faults(desk) == []
    desk.fill("input[name=name]", "Anna")
    desk.fill("input[name=requests_per_day]", "2")
    desk.click("button[name=_save]")
    desk.wait_for_selector("#passwords")
    assert serious_faults(desk) == []

    desk.click("[data-copy=sillytavern]")
    desk.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('API Key'))")
    copied = desk.evaluate("navigator.clipboard.readText()")
    password = re.search(r"Custom API Key: (\S+)", copied)[1]
    assert f"Base URL): {here.server.base_url}/v1" in copied
    assert [status_with(here, password) for _ in range(3)] == [200, 200, 429]

    desk.goto(f"{LIST}?q=Anna")
    assert "2 / 2" in desk.inner_text("#result_list")
    assert password not in desk.content()
    desk.click("#result_list a:has-text('Anna')")
    desk.wait_for_selector("#member-facts")
    assert serious_faults(desk) == []
    desk.click("button:has-text('Disable')")
    desk.wait_for_selector("#result_list")
    assert status_with(here, password) == 401


def test_what_is_wrong_is_told_at_its_field(desk):
    desk.goto(ADD)
    desk.fill("input[name=name]", "<img src=x onerror=alert(1)>")
    desk.fill("input[name=password]", "12345678")
    desk.fill("input[name=tokens_per_day]", "-7")
    desk.click("button[name=_save]")
    desk.wait_for_selector(".errorlist")

    assert desk.locator(".errorlist").count() >= 3
    assert desk.locator("img[src=x]").count() == 0


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh-CN", True)])
def test_twenty_members_make_a_list_for_paper_and_for_the_phone(here, visit, language, dark):
    page = visit(here, BULK, language=language, dark=dark, size=PHONE)
    log_in(page)
    page.goto(BULK)
    assert serious_faults(page) == []
    assert fits(page)
    page.fill("input[name=names]", f"{language}-")
    page.click("#bulk-form button[type=submit]")
    page.wait_for_selector("#passwords table")

    passwords = page.locator("#passwords tbody code").all_inner_texts()
    assert len(set(passwords)) == 20
    assert fits(page)
    assert serious_faults(page) == []
    page.click("[data-copy=all]")
    page.wait_for_function(f"navigator.clipboard.readText().then((text) => text.includes('{language}-20'))")
    page.emulate_media(media="print")
    assert not page.is_visible("[data-print]")
    assert page.is_visible("#passwords tbody code")
    assert status_with(here, passwords[19]) == 200
    page.goto(LIST)
    assert fits(page)


def test_a_setting_acts_on_the_next_request_and_the_form_tells_who_changed_it(here, desk):
    desk.goto(SETTINGS)
    assert serious_faults(desk) == []
    desk.select_option("select[name=fake_streaming]", "false")
    desk.click("button[name=_continue]")
    desk.wait_for_selector("#changes td")
    here.clear()

    with here.server.client() as client:
        client.post("/v1/chat/completions", json=chat(stream=True))

    assert [call.path.rpartition(":")[2] for call in here.gemini.generated] == ["streamGenerateContent"]
    assert "FAKE_STREAMING: empty → no" in desk.inner_text("#changes")
    assert "admin" in desk.inner_text("#changes")
