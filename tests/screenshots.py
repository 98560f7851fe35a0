"""Takes the pictures in the documents, from the running thing: `make screenshots` writes docs/images/.

hajimi's own pages, then SillyTavern connected to it, each in English and in Chinese. Needs Chromium and
requirements-slow.txt; SillyTavern's pictures also need Node.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from playwright.sync_api import sync_playwright

from tests import evening_pictures
from tests.gemini import FakeGemini, answer, error
from tests.serving import ADMIN_PASSWORD, ROOT, Server, chat, environment_for
from tests.sillytavern import tavern

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = ROOT / "docs" / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LANGUAGES = {"en": "en", "zh": "zh-CN"}
MODEL, THINKER, TIRED = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash"
PASSWORD = "our-little-secret"
STORY = {
    "en": "Once upon a time there was a small orange cat that kept all the keys of the village.",
    "zh": "从前有一只橘色的小猫，它替全村的人保管着所有的钥匙。",
}
KEYS = tuple(f"AIzaSyPictureOfTheSimulator---------{tail}" for tail in ("x7Qa", "Lm2k", "9tRw", "Zc4e", "h0Vb", "Ky8s"))
WIDE, PAGE = {"width": 1100, "height": 620}, {"width": 1240, "height": 760}


def main(*parts: str) -> int:
    """Take every picture, or only those of "pages" or "sillytavern"."""
    if CHROMIUM is None:
        print("SKIPPED screenshots: Chromium is not installed")
        return 0
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hajimi-pictures-") as folder, FakeGemini() as gemini:
        # A port that looks at home in the pictures, where it is free.
        settings = {"GEMINI_BASE_URL": gemini.url, "GEMINI_API_KEYS": KEYS, "PASSWORD": PASSWORD, "PORT": 7860}
        usual = {"API_KEY_DAILY_LIMIT": 100, "MAX_REQUESTS_PER_DAY_PER_IP": 600, "FAKE_STREAMING": False, "TZ": "UTC"}
        usual |= {"MAX_REQUESTS_PER_MINUTE": 60}
        server = Server(Path(folder), {**settings, **usual}).start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                live_a_little(server, gemini)
                if "sillytavern" not in parts:
                    pages(browser, server)
                    dashboard(browser, server, gemini)
                    evening_pictures.take(browser, server, gemini, IMAGES)
                if "pages" not in parts:
                    clients(browser, server, gemini)
                browser.close()
        finally:
            server.kill()
    sizes = [path.stat().st_size for path in IMAGES.iterdir()]
    total = sum(sizes)
    print(f"{len(sizes)} pictures, {total // 1000} kB, in {IMAGES.relative_to(ROOT)}")
    return 0


def live_a_little(server: Server, gemini: FakeGemini) -> None:
    """Let some people chat, and let Google refuse a little, so that the pages have something to show."""
    gemini.always(answer(STORY["en"]))
    gemini.replies(error("per_day"), error("per_day"), answer(STORY["en"]), model=TIRED)
    for number in range(20):
        server.chat("Tell me a story", model=(MODEL, THINKER)[number % 3 == 0])
    server.chat("Tell me a story", model=TIRED)
    invite(server)


def invite(server: Server) -> None:
    """Make some members, and let them chat."""
    people: dict[str, tuple[str, ...]] = {"alice": ("--group", "friends"), "bob": ("--group", "friends"), "dora": ()}
    for name, options in people.items():
        environment = {**environment_for(server.data_dir, server.changes), "MEMBER_PASSWORD": f"{PASSWORD}-{name}"}
        words = ("create_member", name, *options, "--parallel-requests", "2", "--requests-per-day", "40")
        subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    server.write(
        ("UPDATE keys_member SET expires_at = '2020-01-01 00:00:00' WHERE name = 'dora'", ()),
        ("UPDATE proxy_revision SET number = number + 1", ()),
    )
    # Another process has changed the database; this one notices within a second.
    time.sleep(1.5)
    for name, messages in (("alice", 17), ("bob", 29)):
        with server.client(f"{PASSWORD}-{name}") as client:
            for _ in range(messages):
                client.post("/v1/chat/completions", json=chat("Tell me a story", model=MODEL))


def at_home(server: Server) -> str:
    """Return the server's address as a person at the same machine types it."""
    return server.base_url.replace("127.0.0.1", "localhost")


def pages(browser: Browser, server: Server) -> None:
    """hajimi's own pages."""
    for short, language in LANGUAGES.items():
        context = browser.new_context(base_url=at_home(server), locale=language, viewport=WIDE, color_scheme="light")
        page = context.new_page()
        page.goto("/")
        picture(page, f"status-{short}")
        own_page(page, short)
        sign_in(page)
        for name, path, size in ADMIN_PAGES:
            page.set_viewport_size(size)
            page.goto(path)
            page.wait_for_load_state("networkidle")
            picture(page, f"{name}-{short}")
        context.close()


DASHBOARDS = (
    ("dashboard-en", "en", "light", {"width": 1280, "height": 900}),
    ("dashboard-zh", "zh-CN", "dark", {"width": 1280, "height": 900}),
)


def dashboard(browser: Browser, server: Server, gemini: FakeGemini) -> None:
    """The dashboard while some answers are on their way."""
    gemini.hold()
    gemini.replies(*[answer(STORY["en"], held=True)] * 3, model=THINKER)
    asking = [threading.Thread(target=server.chat, kwargs={"model": THINKER}) for _ in range(3)]
    for one in asking:
        one.start()
    for name, language, light, size in DASHBOARDS:
        context = browser.new_context(
            base_url=at_home(server), locale=language, viewport=size, color_scheme=cast(Any, light)
        )
        page = context.new_page()
        sign_in(page)
        page.wait_for_selector("#dashboard[data-state=live]")
        page.wait_for_selector("#dash-models progress")
        picture(page, name)
        context.close()
    gemini.release()
    for one in asking:
        one.join()


def own_page(page: Page, short: str) -> None:
    """What a member sees of itself, entered by a link."""
    page.goto(f"/me#{PASSWORD}-alice")
    page.wait_for_selector("#limits")
    page.set_viewport_size(PAGE)
    picture(page, f"me-{short}")
    page.set_viewport_size(WIDE)


ADMIN_PAGES = (
    ("admin-keys", "/admin/keys/key/", PAGE),
    ("admin-members", "/admin/keys/member/", PAGE),
    ("admin-member", "/admin/keys/member/add/", PAGE),
    ("admin-settings", "/admin/proxy/settings/1/change/", PAGE),
)


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", ADMIN_PASSWORD)
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#logout-form", state="attached")


def picture(page: Page, name: str, **options: Any) -> None:
    """Take one picture of what the page shows now."""
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", **options)
    print(f"{name}.png", flush=True)


# SillyTavern.


def clients(browser: Browser, server: Server, gemini: FakeGemini) -> None:
    """SillyTavern as its users see it: the two ways to connect, and a streamed answer."""
    if lacking := tavern.missing():
        print(f"SKIPPED SillyTavern's pictures: {lacking}")
        return
    tavern.install()
    for short, language in (("en", "en"), ("zh", "zh-cn")):
        gemini.always(answer(STORY[short], delay=0.08), model=MODEL)
        with tavern.running(f"{server.base_url}/v1", server.password) as st:
            for take in (custom, google):
                page = opened(browser, st.url, language)
                take(page, server, short)
                page.context.close()


def opened(browser: Browser, url: str, language: str) -> Page:
    """Open SillyTavern past its first dialogs."""
    page = browser.new_context(viewport=WIDE).new_page()
    page.add_init_script(f"localStorage.setItem('language', '{language}')")
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_function("!document.querySelector('#preloader') && window.SillyTavern?.getContext", timeout=90_000)
    page.wait_for_timeout(1000)
    dialogs = page.locator("dialog.popup[open]")
    while dialogs.count():
        name = dialogs.last.locator(".popup-input")
        if name.count() and name.first.is_visible():
            name.first.fill("Alice")
        dialogs.last.locator(".popup-button-ok").click()
        page.wait_for_timeout(700)
    return page


def drawer(page: Page, name: str, open_it: bool) -> None:
    content = page.locator(f"#{name} > .drawer-content").first
    if ("openDrawer" in (content.get_attribute("class") or "")) != open_it:
        page.locator(f"#{name} > .drawer-toggle").first.click()
        page.wait_for_timeout(700)


def choose(page: Page, selector: str, value: str) -> None:
    page.locator(selector).select_option(value, force=True)
    page.wait_for_timeout(300)


def connect(page: Page, source: str) -> None:
    drawer(page, "sys-settings-button", True)
    choose(page, "#main_api", "openai")
    choose(page, "#chat_completion_source", source)


def panel(page: Page, name: str, top: str, bottom: str) -> None:
    """Take a picture of the connection's panel, from one of its parts to another."""
    page.set_viewport_size({"width": 1100, "height": 1500})
    page.wait_for_timeout(300)
    page.evaluate("document.activeElement?.blur()")
    first, last = page.locator(top).bounding_box(), page.locator(bottom).bounding_box()
    frame = page.locator("#rm_api_block").bounding_box()
    assert first
    assert last
    assert frame
    begin = max(first["y"] - 30, 0)
    height = last["y"] + last["height"] + 40 - begin
    picture(page, name, clip={"x": frame["x"], "y": begin, "width": frame["width"], "height": height})
    page.set_viewport_size(WIDE)


def custom(page: Page, server: Server, short: str) -> None:
    connect(page, "custom")
    page.locator("#custom_api_url_text").fill(f"{server.base_url.replace('127.0.0.1', 'localhost')}/v1")
    page.locator("#api_key_custom").fill(server.password)
    page.locator("#api_button_openai").click()
    page.wait_for_function("document.querySelectorAll('#model_custom_select option').length > 1")
    choose(page, "#model_custom_select", MODEL)
    panel(page, f"sillytavern-custom-{short}", "#main_api", "#api_button_openai")
    talk(page, short)


def talk(page: Page, short: str) -> None:
    """Chat once, and take the picture in the middle of the streamed answer."""
    drawer(page, "sys-settings-button", False)
    drawer(page, "rightNavHolder", True)
    page.locator("#rm_print_characters_block .character_select", has_text="Seraphina").first.click()
    page.wait_for_function("document.querySelectorAll('#chat .mes').length > 0")
    drawer(page, "rightNavHolder", False)
    page.locator("#send_textarea").fill({"en": "Tell me a story.", "zh": "给我讲个故事吧。"}[short])
    page.locator("#send_but").click()
    beginning = STORY[short][:8]
    page.wait_for_function(
        "(text) => [...document.querySelectorAll('#chat .mes_text')].at(-1)?.innerText.includes(text)", arg=beginning
    )
    picture(page, f"sillytavern-chat-{short}")


def google(page: Page, server: Server, short: str) -> None:
    connect(page, "makersuite")
    if not page.locator("#openai_reverse_proxy").is_visible():
        page.locator(".inline-drawer:has(#openai_reverse_proxy) > .inline-drawer-toggle").first.click()
        page.wait_for_timeout(700)
    page.locator("#openai_reverse_proxy").fill(at_home(server))
    page.locator("#openai_proxy_access_key").fill(server.password)
    page.locator("#api_button_openai").click()
    # It asks once more whether this proxy is meant.
    page.locator("dialog.popup[open] .popup-button-ok").last.click()
    page.wait_for_timeout(2500)
    choose(page, "#model_google_select", MODEL)
    panel(page, f"sillytavern-google-{short}", "#main_api", "#api_button_openai")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
