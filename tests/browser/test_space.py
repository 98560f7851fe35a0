"""A Space as a visitor's browser meets it: in a frame of huggingface.co, over https, behind the platform's edge."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import CHROMIUM, PATIENCE_MS, log_in
from tests.service.houses import House, house
from tests.serving import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

HOST = "owner-chat.hf.space"
CADDY = shutil.which("caddy", path=f"{ROOT}/.venv/bin")
pytestmark = pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
# huggingface.co shows a Space in a frame; its edge speaks https and passes plain http on.
EDGE = """
{
    admin off
    auto_https disable_redirects
    local_certs
    skip_install_trust
    https_port PORT
}
https://huggingface.co:PORT {
    tls internal
    header content-type text/html
    respond `<!doctype html><link rel=icon href="data:,"><h1>Space</h1>
<iframe src="https://HOST/" allow="clipboard-read; clipboard-write" width=900 height=500></iframe>`
}
https://HOST:PORT {
    tls internal
    reverse_proxy UPSTREAM {
        header_up Host HOST
    }
}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), SPACE_ID="owner/chat", SPACE_HOST=HOST) as running:
        yield running


@pytest.fixture(scope="module")
def edge(here: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run the edge and yield its port."""
    folder: Path = tmp_path_factory.mktemp("edge")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    text = EDGE.replace("PORT", str(port)).replace("HOST", HOST)
    (folder / "Caddyfile").write_text(text.replace("UPSTREAM", here.server.base_url.removeprefix("http://")))
    command = [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=printed)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "printed").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def chromium_there(edge: int, chromium: Browser) -> Iterator[Browser]:
    """A browser for which both names lead to the edge."""
    rules = f"MAP huggingface.co 127.0.0.1:{edge}, MAP {HOST} 127.0.0.1:{edge}"
    options = ["--no-sandbox", f"--host-resolver-rules={rules}", "--ignore-certificate-errors"]
    with contextlib.closing(chromium.browser_type.launch(executable_path=CHROMIUM, args=options)) as browser:
        yield browser


@pytest.fixture
def space(chromium_there: Browser) -> Iterator[Page]:
    """The Space's page on huggingface.co."""
    context = chromium_there.new_context(locale="en")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto("https://huggingface.co/spaces/owner/chat")
    yield page
    context.close()


def frame(space: Page) -> FrameLocator:
    return space.frame_locator("iframe")


def test_the_status_page_works_in_the_frame(here: House, space: Page) -> None:
    address = frame(space).locator("#address")

    assert address.inner_text() == f"https://{HOST}/v1"
    assert frame(space).locator("#usable-keys").inner_text() == str(3)
    frame(space).locator("button[data-copy=address]").click()
    frame(space).locator("button[data-copy=address]", has_text="Copied").wait_for()


@pytest.mark.parametrize("words", ["Open the admin in a new tab", "Your own page", "What the API can do"])
def test_every_link_of_it_opens_a_tab_because_no_other_page_may_be_framed(space: Page, words: str) -> None:
    with space.context.expect_page() as opened:
        frame(space).get_by_role("link", name=words).click()

    opened.value.wait_for_load_state()
    assert opened.value.url.startswith(f"https://{HOST}")
    assert frame(space).locator("#address").is_visible()


def test_an_admin_logs_in_in_the_tab_with_secure_cookies_and_sees_the_dashboard_live(space: Page) -> None:
    with space.context.expect_page() as opened:
        frame(space).get_by_role("link", name="Open the admin in a new tab").click()
    admin = opened.value
    log_in(admin)

    admin.wait_for_selector("#dashboard[data-state=live]")
    cookies = {cookie["name"]: cookie for cookie in space.context.cookies()}
    assert cookies["sessionid"]["secure"]
    assert cookies["sessionid"]["httpOnly"]
    assert cookies["sessionid"]["sameSite"] == "Lax"
    assert admin.frames == [admin.main_frame]


def test_the_admin_is_not_shown_in_a_frame_of_anybody(space: Page) -> None:
    space.evaluate(f"document.querySelector('iframe').src = 'https://{HOST}/admin/login/'")
    space.wait_for_timeout(1000)

    assert frame(space).locator("#login-form").count() == 0
