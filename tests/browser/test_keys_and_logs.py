"""Keys in a browser: one revealed, some resting; and every page of the desk, looked at by everybody."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import DESKTOP, PHONE, log_in, serious_faults
from tests.gemini import error
from tests.serving import ADMIN_PASSWORD, KEYS


def test_one_key_is_revealed_once(here, desk):
    desk.goto("/admin/keys/key/")
    desk.click("#result_list tbody a >> nth=0")
    desk.click("text=Reveal …")
    desk.fill("input[name=password]", "a guess")
    desk.click("button:has-text('Reveal')")
    assert "This is not your password." in desk.inner_text("#content")
    desk.fill("input[name=password]", ADMIN_PASSWORD)
    desk.click("button:has-text('Reveal')")
    desk.wait_for_selector("#secret")
    secret = desk.inner_text("#secret")
    desk.click("[data-copy=secret]")

    assert secret.startswith("AIza")
    assert desk.evaluate("navigator.clipboard.readText()") == secret
    for path in (desk.url, "/admin/keys/key/", "/admin/keys/key/1/history/", "/admin/"):
        desk.goto(path)
        assert secret not in desk.content()


def test_keys_rest_and_are_freed_at_once(here, desk):
    here.gemini.always(error("per_day"), model="gemini-2.5-flash-lite")
    assert here.server.chat(model="gemini-2.5-flash-lite").status_code == 429
    here.gemini.clear()
    assert here.server.chat(model="gemini-2.5-flash-lite").status_code == 429
    desk.goto("/admin/keys/key/?state=parked")
    shown = desk.locator("time.desk-countdown").first
    before = shown.inner_text()
    assert re.fullmatch(r"\d+:\d\d:\d\d", before)
    desk.wait_for_function("before => document.querySelector('time.desk-countdown').textContent != before", arg=before)

    for row in range(3):
        desk.check(f"input.action-select >> nth={row}")
    desk.select_option("select[name=action]", "clear_parks")
    desk.click("button:has-text('Run')")

    desk.wait_for_selector("text=3 keys rest no more.")
    assert here.server.chat(model="gemini-2.5-flash-lite").status_code == 200


PAGES = (
    "/admin/",
    "/admin/keys/key/",
    "/admin/keys/key/1/change/",
    "/admin/keys/key/add/",
    "/admin/keys/key/import/",
    "/admin/keys/key/1/reveal/",
    "/admin/keys/key/1/history/",
    "/admin/keys/park/",
    "/admin/keys/usage/",
    "/admin/keys/member/",
    "/admin/keys/member/1/change/",
    "/admin/keys/member/bulk/",
    "/admin/keys/group/",
    "/admin/keys/group/add/",
    "/admin/proxy/requestlog/",
    "/admin/proxy/blockedmodel/",
    "/admin/proxy/blockedmodel/add/",
    "/admin/proxy/settings/1/change/",
    "/admin/proxy/settings/1/history/",
    "/admin/proxy/upstreammodel/",
    "/admin/second-factor/",
    "/admin/auth/user/",
    "/admin/auth/user/1/change/",
    "/admin/auth/user/add/",
    "/admin/password_change/",
    "/",
    "/docs",
    "/me",
)


@pytest.mark.parametrize(("language", "dark", "size"), [("en", False, DESKTOP), ("zh-CN", True, PHONE)])
def test_every_page_can_be_used_by_everybody(here, visit, language, dark, size):
    here.gemini.clear()
    here.server.chat()
    [log, *_] = here.server.rows("SELECT id FROM proxy_requestlog")
    page = visit(here, "/admin/login/?next=/admin/", language=language, dark=dark, size=size)
    assert serious_faults(page) == []
    log_in(page)

    for path in (*PAGES, f"/admin/proxy/requestlog/{log['id']}/change/"):
        page.goto(path)
        assert serious_faults(page) == [], path
        assert not any(secret in page.content() for secret in (*KEYS, here.server.password, ADMIN_PASSWORD)), path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


CUT_CELLS = """() => [...document.querySelectorAll("#result_list td")]
  .filter((cell) => cell.scrollHeight > cell.clientHeight + 1 || cell.scrollWidth > cell.clientWidth + 1)
  .map((cell) => cell.dataset.label)"""


def test_on_a_phone_no_line_of_a_list_is_cut_off(here, visit):
    here.gemini.clear()
    here.gemini.replies(error("per_day"), model="gemini-2.5-pro")
    here.server.chat(model="gemini-2.5-pro")
    page = visit(here, "/admin/login/?next=/admin/keys/key/", size=PHONE)
    log_in(page)

    for path in ("/admin/keys/key/", "/admin/keys/park/"):
        page.goto(path)
        page.wait_for_selector("#result_list td")
        assert page.evaluate(CUT_CELLS) == []


def test_a_long_import_shows_how_far_it_is(here, desk):
    secrets = [f"AIzaSyLongImport------------------{number:05}" for number in range(600)]
    desk.goto("/admin/keys/key/import/")
    posts = []
    desk.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    desk.fill("textarea[name=keys]", "\n".join([*secrets, secrets[0]]))
    desk.evaluate(
        """() => { const seen = (bar) => { window.name += `${bar.value}/${bar.max} `; };
        new MutationObserver((all) => all.forEach((one) => seen(one.target)))
          .observe(document.querySelector("#import-progress progress"), { attributes: true }); }"""
    )
    desk.click("#import-form button[type=submit]")

    desk.wait_for_selector("#import-report")
    assert "600 added, 0 already there (0 of them came back), 1 repeated." in desk.inner_text("body")
    assert desk.locator("#import-report tbody tr").count() == 1
    assert desk.evaluate("window.name").split()[-1] == "600/600"
    assert len(posts) == 4
