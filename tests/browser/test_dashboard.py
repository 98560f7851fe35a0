"""The dashboard in a browser: what is seen and when, without a websocket, without a server, without a login."""

from __future__ import annotations

import threading
import time

import pytest

from tests.browser.conftest import DESKTOP, PHONE, log_in, serious_faults
from tests.gemini import answer
from tests.service.houses import house

SEEN_MS = 2_000


def state(page):
    return page.get_attribute("#dashboard", "data-state")


def wait_for(page, name):
    page.wait_for_selector(f"#dashboard[data-state={name}]")


@pytest.fixture
def fresh(tmp_path):
    with house(tmp_path, FAKE_STREAMING="false") as running:
        yield running


def test_a_message_is_seen_within_two_seconds_and_ends_the_first_steps(fresh, visit):
    page = visit(fresh, "/admin/")
    log_in(page)
    wait_for(page, "live")
    page.wait_for_selector("#first-steps [data-step=works][data-done]")
    fresh.gemini.always(answer("pong", held=True))

    asking = threading.Thread(target=fresh.server.chat, args=("a prompt of my own",))
    asking.start()
    fresh.gemini.wait_until(lambda: len(fresh.gemini.generated) == 1)
    page.wait_for_selector("#dash-running td:has-text('gemini-2.5-flash')", timeout=SEEN_MS)
    row = page.inner_text("#dash-running tr")
    fresh.gemini.release()
    asking.join()

    assert "shared" in row
    assert f"…{fresh.gemini.keys_used[-1][-4:]}" in row
    page.wait_for_selector("#dash-running tr[data-over]", timeout=SEEN_MS)
    page.wait_for_selector("#first-steps", state="hidden")
    assert page.inner_text("[data-rate=in_flight]") == "0"
    assert "a prompt of my own" not in page.content()
    page.reload()
    assert page.query_selector("#first-steps") is None


@pytest.mark.parametrize(
    ("language", "dark", "size", "words"),
    [
        ("en", False, DESKTOP, "What the pool can still serve today"),
        ("en", True, PHONE, "Latest refusals"),
        ("zh-CN", True, DESKTOP, "密钥池今日还能提供多少"),
        ("zh-CN", False, PHONE, "最近的拒绝"),
    ],
)
def test_it_fits_every_language_light_and_width(here, visit, language, dark, size, words):
    here.server.chat(model="gemini-2.5-pro")
    here.server.chat(model="no-<b>such</b>-model")
    page = visit(here, "/admin/dashboard/", language=language, dark=dark, size=size)
    log_in(page)
    wait_for(page, "live")
    page.wait_for_selector("#dash-refusals td")

    assert words in page.inner_text("#dashboard")
    refusals = page.inner_text("#dash-refusals")
    # The model stands in its own column, as text; sentences quote to nobody else what a client sent.
    assert "no-<b>such</b>-model" in refusals
    assert "…" in refusals
    assert "req_" in refusals
    assert page.query_selector("#dash-refusals b") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert serious_faults(page) == []


def test_what_does_not_change_is_not_drawn_again(here, visit):
    page = visit(here, "/admin/")
    log_in(page)
    wait_for(page, "live")
    page.wait_for_selector("#dash-models progress")
    page.evaluate(
        """() => {
          window.changes = [];
          const seen = (list) => list.forEach((one) => window.changes.push(one.target.parentNode?.id || one.target.id));
          const targets = ["dash-models", "dash-keys", "dash-health", "dash-members", "dash-refusals", "dash-status"];
          const options = { childList: true, characterData: true, subtree: true };
          for (const id of targets) new MutationObserver(seen).observe(document.getElementById(id), options);
        }"""
    )
    time.sleep(3.5)

    assert page.evaluate("window.changes") == []


def test_without_a_websocket_it_asks_and_says_so(here, visit):
    page = visit(here, "/admin/")
    log_in(page)
    page.route_web_socket("**/admin/dashboard/live*", lambda socket: socket.close(code=1011))
    page.reload()

    wait_for(page, "polling")
    assert "websocket does not get through" in page.inner_text("#dash-status")
    here.server.chat(model="gemini-2.5-flash-lite")
    page.wait_for_selector("#dash-running td:has-text('gemini-2.5-flash-lite')", timeout=2 * SEEN_MS)


def test_a_lost_server_is_told_and_the_page_finds_it_again(fresh, chromium):
    fresh.server.changes["PORT"] = fresh.server.base_url.rpartition(":")[2]
    page = chromium.new_page(base_url=fresh.server.base_url)
    page.goto("/admin/")
    log_in(page)
    wait_for(page, "live")

    fresh.server.kill()
    wait_for(page, "lost")
    assert "Connection lost; these numbers are of" in page.inner_text("#dash-status")
    fresh.server.start()

    wait_for(page, "live")
    page.close()


def test_whoever_logs_out_elsewhere_is_told_and_shown_the_way_back(here, visit):
    page = visit(here, "/admin/")
    log_in(page)
    wait_for(page, "live")
    other = page.context.new_page()
    other.goto("/admin/keys/key/")
    other.evaluate("document.getElementById('logout-form').submit()")
    other.wait_for_load_state()

    wait_for(page, "logged_out")
    assert page.is_visible("#dash-login")
    page.click("#dash-login")
    page.wait_for_selector("input[name=username]")


def test_a_hidden_page_costs_the_server_nothing(here, visit):
    page = visit(here, "/admin/")
    log_in(page)
    wait_for(page, "live")
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket))
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"

    page.evaluate((hide % "true") + tell)
    before = page.inner_text("#dash-status")
    time.sleep(1.5)
    assert sockets == []
    page.evaluate((hide % "false") + tell)

    page.wait_for_timeout(1500)
    assert len(sockets) == 1
    assert before == "Live"
    wait_for(page, "live")
