"""What people and machines see beside the API: status, health, static files, headers, the first start."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.service.houses import house
from tests.serving import KEYS, NotStarted


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS="chat.example") as running:
        yield running


@pytest.fixture
def browser(here):
    with here.server.client("") as client:
        yield client


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), GEMINI_API_KEYS=None) as running:
        yield running


def test_the_status_page_says_what_one_needs_and_no_secret(here, browser):
    page = browser.get("/")

    assert page.status_code == 200
    assert re.search(r'id="usable-keys">3<', page.text)
    assert f"{here.server.base_url}/v1</code>" in page.text
    assert "gemini-2.5-flash" in page.text
    assert 'target="_blank"' in page.text
    assert here.server.password not in page.text
    assert not any(key in page.text or key[-4:] in page.text for key in KEYS)


def test_the_base_address_is_https_behind_a_trusted_proxy(browser):
    page = browser.get("/", headers={"x-forwarded-proto": "https", "host": "chat.example"})

    assert "https://chat.example/v1</code>" in page.text


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Usable keys"), ("zh-CN,zh;q=0.9", "可用密钥"), ("fr", "Usable keys")]
)
def test_the_status_page_speaks_the_browser_s_language(browser, language, word):
    page = browser.get("/", headers={"accept-language": language})

    assert word in page.text


@pytest.mark.parametrize("path", ["/", "/me", "/docs", "/admin/login/?next=/admin/keys/key/"])
def test_every_page_offers_the_other_language_and_keeps_the_choice(browser, path):
    page = browser.get(path)
    form = re.search(r'<form method="post" action="([^"]+)" class="language".*?</form>', page.text, re.S)
    back = re.search(r'name="next" value="([^"]+)"', form[0])[1]
    chosen = browser.post(form[1], data={"language": "zh-hans", "next": back})
    after = browser.get(chosen.headers["location"])

    assert 'lang="zh-hans">简体中文</button>' in form[0]
    assert back == path
    assert '<html lang="zh-hans"' in after.text
    assert 'lang="en">English</button>' in after.text
    for one in (page, after):
        assert {"accept-language", "cookie"} <= set(re.split(r",\s*", one.headers["vary"].lower()))


def test_what_is_in_no_language_is_kept_apart_by_none(browser):
    assert "cookie" not in browser.get("/static/hajimi/me.js").headers.get("vary", "").lower()


def framers(policy):
    """Return who may show a page with this policy in a frame."""
    [names] = re.findall(r"frame-ancestors ([^;]+)", policy)
    return names.split()


def test_the_status_page_may_be_framed_by_the_platform_and_nothing_else_may(browser):
    status, admin = browser.get("/").headers, browser.get("/admin/login/").headers

    assert "x-frame-options" not in status
    assert framers(status["content-security-policy"]) == ["'self'", "https://huggingface.co"]
    assert admin["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in admin["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/admin/login/"])
def test_pages_load_nothing_from_elsewhere_and_hold_no_script(browser, path):
    page = browser.get(path)

    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>|\sstyle=|\son\w+=|//cdn", page.text)


def test_every_file_a_page_names_is_there(browser):
    names = {
        name
        for path in ("/", "/admin/login/")
        for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', browser.get(path).text)
    }

    assert len(names) > 4
    for name in names:
        answer = browser.get(name)
        assert answer.status_code == 200, name
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/static/nothing.css", "/static/../manage.py", "/static/%2e%2e/manage.py", "/static/"]
)
def test_static_serves_nothing_else(browser, path):
    assert browser.get(path).status_code == 404


def test_the_admin_opens_under_a_plain_address_and_not_under_a_strange_name(browser):
    assert browser.get("/admin/login/", headers={"host": "192.168.1.20:7860"}).status_code == 200
    refused = browser.get("/", headers={"host": "evil.example"})
    assert refused.status_code == 400
    assert "ALLOWED_HOSTS" in refused.text


def test_cookies_are_secure_where_the_page_is_https(browser):
    plain = browser.get("/admin/login/").headers["set-cookie"]
    secure = browser.get("/admin/login/", headers={"x-forwarded-proto": "https"}).headers["set-cookie"]

    assert "secure" not in plain.lower()
    assert "secure" in secure.lower()


def test_an_unknown_page_is_a_404_for_people(browser):
    answer = browser.get("/nothing")

    assert answer.status_code == 404
    assert "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize("host", ["localhost", "10.0.0.9", "anything.example"])
def test_health_answers_under_any_name(browser, host):
    assert browser.get("/healthz", headers={"host": host}).json() == {"status": "ok"}
    assert browser.get("/readyz", headers={"host": host}).json() == {"status": "ok"}


def test_without_a_key_it_lives_but_is_not_ready(empty):
    with empty.server.client("") as browser:
        ready, page = browser.get("/readyz"), browser.get("/")

        assert browser.get("/healthz").status_code == 200
    assert ready.status_code == 503
    assert ready.json() == {"status": "unready", "reason": "no usable key"}
    assert re.search(r'id="usable-keys">0<', page.text)


@pytest.mark.parametrize(
    ("origin", "answer"),
    [("http://{here}", b"403"), ("http://evil.example", b"403"), ("null", b"403"), ("", b"403")],
)
def test_no_websocket_is_open_yet(here, origin, answer):
    address = urlsplit(here.server.base_url)
    head = ["GET /ws HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    head += [f"Origin: {origin.format(here=address.netloc)}"] if origin else []
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert answer in connection.recv(1000)


def test_a_generated_admin_password_is_printed_once(serve):
    server = serve(ADMIN_PASSWORD=None)
    [password] = re.findall(r"^Admin account admin, password (\S+) \(shown only once\)$", server.output, re.M)
    printed = len(server.output)

    server.restart()

    assert "password" not in server.output[printed:]
    assert len(password) >= 12


def test_it_drains_and_ends_with_0(serve):
    assert serve().stop() == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"WORKERS": 2}, "hajimi cannot start: WORKERS is set to 2, but REDIS_URL is not set"),
        ({"EVENT_LOOP": "uvloop"}, "hajimi cannot start: EVENT_LOOP is set to uvloop, which is not installed"),
        ({"HOST": "192.0.2.1"}, "hajimi cannot start: cannot listen on 192.0.2.1"),
        ({"HOST": "not a host"}, "; HOST must be an address of this machine."),
        (
            {"DATABASE_URL": "sqlite:////nowhere/at/all.sqlite3"},
            "hajimi cannot start: the database of DATABASE_URL (sqlite) cannot be used",
        ),
    ],
)
def test_a_start_that_cannot_be_says_why_in_one_line(serve, changes, words):
    with pytest.raises(NotStarted) as refused:
        serve(**changes)

    assert words in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_it_looks_at_a_database_of_another_key_and_says_so(serve):
    server = serve()
    server.stop()
    (server.data_dir / "secret_key").unlink()

    with pytest.raises(NotStarted) as refused:
        server.restart()

    assert "SECRET_KEY" in str(refused.value)
    assert "Traceback" not in str(refused.value)
