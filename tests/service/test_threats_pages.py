"""Threats to the pages and their admin: guessing, forged addresses, scripts in every field, foreign pages."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.forms import fields_of, logged_in, submit
from tests.gemini import answer
from tests.gemini.replies import Raw
from tests.service.houses import House, house
from tests.service.test_me import sql
from tests.serving import ADMIN_PASSWORD, chat

PAYLOAD = "\"'><img src=x onerror=pwned(1)><script>pwned(2)</script>{{7*7}}${pwned(3)}"
BROKEN_OUT = re.compile(r"<img src=x|<script>pwned|[\"']><img")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def besieged(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory):
    proxied = {"TRUSTED_PROXIES": "127.0.0.1", "CSRF_TRUSTED_ORIGINS": "https://panel.example:8443"}
    with house(tmp_path_factory.mktemp("house"), ALLOWED_HOSTS="chat.example", **proxied) as running:
        yield running


# Guessing


def guess_api(here: House, number: int, forwarded: str) -> int:
    with here.server.client(f"guess-{number}") as client:
        return client.get("/v1/models", headers={"x-forwarded-for": forwarded}).status_code


def guess_admin(here: House, number: int, forwarded: str) -> int:
    with here.server.client("", headers={"x-forwarded-for": forwarded}) as browser:
        page = browser.get("/admin/login/")
        if page.status_code == 429:
            return 429
        form = fields_of(page) | {"username": "admin", "password": f"guess-{number}"}
        return browser.post("/admin/login/", data=form).status_code


@pytest.mark.parametrize(("guess", "wrong"), [(guess_api, 401), (guess_admin, 200)], ids=["api", "admin"])
def test_brute_force_with_rotating_forged_addresses_is_throttled(besieged, guess, wrong):
    statuses = [guess(besieged, number, f"198.51.100.{number}, 10.0.0.{number}") for number in range(40)]

    assert statuses[0] == wrong
    assert 429 in statuses[:20]
    assert statuses[-1] == 429


@pytest.mark.parametrize(("guess", "wrong"), [(guess_api, 401), (guess_admin, 200)], ids=["api", "admin"])
def test_brute_force_through_a_trusted_proxy_counts_the_true_address(behind_proxy, guess, wrong):
    """What the attacker writes before the address that the proxy saw does not count; a neighbour is not hurt."""
    statuses = [guess(behind_proxy, number, f"192.0.2.{number}, 203.0.113.66") for number in range(40)]

    assert statuses[0] == wrong
    assert statuses[-1] == 429
    assert guess(behind_proxy, 1, "203.0.113.77") == wrong


def test_brute_force_at_the_metrics_ends_like_that_at_the_login(behind_proxy):
    """The throttle holds for the right password too, at that address only."""

    def ask(password: str, address: str) -> int:
        with behind_proxy.server.client("") as client:
            return client.get("/metrics", auth=("admin", password), headers={"x-forwarded-for": address}).status_code

    statuses = [ask(f"guess-{number}", f"192.0.2.{number}, 203.0.113.88") for number in range(12)]

    assert (statuses[0], statuses[-1]) == (401, 429)
    assert set(statuses) == {401, 429}
    assert ask(ADMIN_PASSWORD, "203.0.113.88") == 429
    assert ask(ADMIN_PASSWORD, "203.0.113.89") == 200


def test_every_wrong_credential_is_answered_alike(behind_proxy):
    """Unknown, disabled, expired, empty: the same words, so that nothing is learned."""
    with logged_in(behind_proxy.server) as admin:
        for name, fields in (("Off", {"enabled": ""}), ("Late", {})):
            page = admin.get("/admin/keys/member/add/")
            form = fields_of(page) | {"name": name, "password": f"the-password-of-{name}"} | fields
            form = {key: value for key, value in form.items() if not (key == "enabled" and not value)}
            assert admin.post("/admin/keys/member/add/", data=form, follow_redirects=True).status_code == 200
    sql(behind_proxy.server, "UPDATE keys_member SET expires_at = '2020-01-01 00:00:00' WHERE name = 'Late'")
    told = set()
    for number, password in enumerate(("nobody-has-this", "the-password-of-Off", "the-password-of-Late")):
        with behind_proxy.server.client(password) as client:
            refused = client.get("/v1/models", headers={"x-forwarded-for": f"203.0.113.{100 + number}"})
        assert refused.status_code == 401
        told.add(re.sub(r"req_\w+", "", refused.text))

    assert len(told) == 1


# Scripts


def test_no_script_of_a_member_s_or_google_s_gets_out_of_any_field(behind_proxy):
    """The payload goes into every field that a form, a client or Google fills; then every page is looked at."""
    here = behind_proxy
    here.clear()
    with logged_in(here.server) as admin:
        refused = submit(admin, "/admin/keys/group/add/", name=PAYLOAD[:80], note=PAYLOAD)
        assert not BROKEN_OUT.search(refused.text)
        submit(admin, "/admin/keys/group/add/", name="Group of notes", note=PAYLOAD)
        submit(admin, "/admin/keys/member/add/", name="Member of notes", note=PAYLOAD, password="xss-member-1")
        submit(admin, "/admin/keys/key/add/", secret="AIzaSyFakeKeyOfTheSimulator-----------X", label=PAYLOAD[:80])
        submit(admin, "/admin/proxy/blockedmodel/add/", pattern=PAYLOAD[:120], note=PAYLOAD[:200])
        submit(admin, "/admin/proxy/settings/1/change/", search_prompt=PAYLOAD, extra_models=PAYLOAD.replace(" ", ""))
        with here.server.client("xss-member-1") as client:
            headers = {
                "user-agent": PAYLOAD,
                "x-forwarded-for": "203.0.113.200",
                "x-title": PAYLOAD,
                "x-request-id": PAYLOAD,
                "referer": PAYLOAD,
            }
            here.gemini.replies(answer(PAYLOAD))
            client.post("/v1/chat/completions", json=chat(PAYLOAD), headers=headers)
            for status in (400, 403, 503):
                said = {"error": {"code": status, "message": PAYLOAD, "status": PAYLOAD}}
                here.gemini.clear()
                here.gemini.always(Raw(status, str(said).replace("'", '"').encode(), JSON), model="gemini-2.5-flash")
                client.post("/v1/chat/completions", json=chat(PAYLOAD), headers=headers)
            here.gemini.clear()
            client.post("/v1/chat/completions", json=chat(model=PAYLOAD), headers=headers)
        with here.server.client("") as stranger:
            for path in (
                f"/{PAYLOAD}",
                f"/admin/?next={PAYLOAD}",
                f"/v1/models/{PAYLOAD}",
                f"/admin/login/?next={PAYLOAD}",
            ):
                assert not BROKEN_OUT.search(text_of(stranger.get(path, follow_redirects=True)))
        pages = look_around(admin, here)

    assert len(pages) > 25
    assert [path for path, text in pages.items() if BROKEN_OUT.search(text)] == []
    # It did get there: the rows hold it, and its harmless form stands on pages.
    for table, column in (("group", "note"), ("member", "note"), ("key", "label")):
        assert here.server.rows(f"SELECT id FROM keys_{table} WHERE {column} LIKE '%<img src=x%'"), table
    assert any("&lt;img src=x" in text for text in pages.values())


JSON = (("content-type", "application/json"),)


def text_of(page) -> str:
    return page.text if "html" in page.headers.get("content-type", "") else ""


def look_around(admin, here: House) -> dict[str, str]:
    """Return the pages that links lead to from the admin's first one, a few of each kind."""
    waiting, pages, kinds = ["/", "/admin/", "/me", "/docs"], {}, {}
    while waiting and len(pages) < 150:
        path = waiting.pop(0)
        kind = re.sub(r"\d+", "0", path.partition("?")[0])
        kinds[kind] = kinds.get(kind, 0) + 1
        if path in pages or kinds[kind] > 3 or re.search(r"/logout/|/language/|/static/", path):
            continue
        page = admin.get(path, follow_redirects=True)
        assert page.status_code < 500, path
        pages[path] = text_of(page)
        waiting += re.findall(r'href="(/[^"#?]*)"', pages[path])
    return pages


# Other people's pages


def test_clickjacking_no_page_but_the_first_can_be_framed(plain):
    with logged_in(plain.server) as admin:
        for path in ("/admin/", "/admin/keys/key/", "/docs", "/nothing", "/admin/login/"):
            headers = admin.get(path).headers
            assert headers["x-frame-options"] == "DENY", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing"])
def test_our_own_pages_may_run_no_inline_script(plain, path):
    with plain.server.client("") as stranger:
        policy = stranger.get(path).headers["content-security-policy"]

    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self'" in policy


def test_cross_site_request_forgery_is_refused(plain):
    with logged_in(plain.server) as admin:
        form = fields_of(admin.get("/admin/keys/group/add/")) | {"name": "forged"}
        without = {name: value for name, value in form.items() if name != "csrfmiddlewaretoken"}

        assert admin.post("/admin/keys/group/add/", data=without).status_code == 403
        assert (
            admin.post("/admin/keys/group/add/", data=form, headers={"origin": "https://evil.example"}).status_code
            == 403
        )
        assert admin.post("/admin/keys/group/add/", data=form, headers={"origin": "null"}).status_code == 403
    assert plain.server.rows("SELECT * FROM keys_group WHERE name = 'forged'") == []


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("https://evil.example/", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("///evil.example/", "/admin/"),
        ("/\\evil.example", "/admin/"),
        ("\\\\evil.example", "/admin/"),
        ("https:evil.example", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
        ("data:text/html,evil", "/admin/"),
        ("http://{here}@evil.example/", "/admin/"),
        # That the field works at all.
        ("/admin/keys/key/", "/admin/keys/key/"),
    ],
)
def test_open_redirect_login_leads_to_our_own_pages_only(plain, address, leads_to):
    address = address.format(here=urlsplit(plain.server.base_url).netloc)
    with plain.server.client("") as browser:
        form = fields_of(browser.get("/admin/login/")) | {
            "username": "admin",
            "password": ADMIN_PASSWORD,
            "next": address,
        }
        there = browser.post("/admin/login/", params={"next": address}, data=form)

    assert (there.status_code, there.headers["location"]) == (302, leads_to)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a@b", "x:y:z", ""]
)
def test_host_header_of_somebody_else_s_is_refused(plain, host):
    with plain.server.client("") as stranger:
        answer = stranger.get("/", headers={"host": host})

    assert answer.status_code == 400
    assert "<img" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "evil.example"},
        {"x-forwarded-proto": "https"},
        {"daphne-root-path": "/evil"},
        {"x-script-name": "/evil"},
        {"x-forwarded-port": "666"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_forwarded_header_of_a_stranger_changes_an_address_on_a_page(plain, headers):
    with plain.server.client("") as stranger:
        page = stranger.get("/", headers=headers)

    assert f"{plain.server.base_url}/v1</code>" in page.text
    assert "evil" not in page.text


def test_cookies_are_for_http_only_and_stay_on_our_site(behind_proxy):
    with behind_proxy.server.client("", headers={"x-forwarded-proto": "https", "host": "chat.example"}) as browser:
        headers = {"referer": "https://chat.example/admin/login/", "x-forwarded-for": "203.0.113.210"}
        page = browser.get("/admin/login/")
        cookie = page.headers["set-cookie"].partition(";")[0]
        form = fields_of(page) | {"username": "admin", "password": ADMIN_PASSWORD}
        done = browser.post("/admin/login/?next=/admin/", data=form, headers=headers | {"cookie": cookie})
        spoken = {"language": "zh-hans", "csrfmiddlewaretoken": form["csrfmiddlewaretoken"]}
        chosen = browser.post("/language/setlang/", data=spoken, headers=headers | {"cookie": cookie})

    assert done.status_code == chosen.status_code == 302
    cookies = [value for answer in (page, done, chosen) for value in answer.headers.get_list("set-cookie")]
    assert {value.partition("=")[0] for value in cookies} == {"csrftoken", "sessionid", "django_language"}
    for value in cookies:
        assert {"httponly", "secure", "samesite=lax"} <= {piece.strip().lower() for piece in value.split(";")}, value


# Websockets


@pytest.mark.parametrize("path", ["/ws", "/admin/dashboard/live"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://{here}.evil.example",
        "file://",
        # Another program of the same machine.
        "http://localhost:1",
        "http://localhost",
        "https://127.0.0.1",
        "http://127.0.0.1:1",
    ],
)
def test_websocket_hijacking_a_foreign_page_gets_in_with_no_session_at_all(plain, path, origin):
    with logged_in(plain.server) as admin:
        cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    assert b" 101 " not in shake_hands(plain, path, origin, cookie)


@pytest.mark.parametrize("path", ["/ws", "/admin/dashboard/live"])
def test_websocket_of_our_own_page_is_for_the_staff_only(plain, path):
    assert b" 101 " not in shake_hands(plain, path, "http://{here}", "")
    assert b" 101 " not in shake_hands(plain, path, "http://{here}", "sessionid=forged0123456789abcdefghijklmnop")


def test_the_websocket_of_the_dashboard_does_open_for_an_admin_on_our_own_page(plain):
    with logged_in(plain.server) as admin:
        cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
        assert b" 101 " in shake_hands(plain, "/admin/dashboard/live", "http://{here}", cookie)


@pytest.mark.parametrize(
    ("origin", "host", "head", "is_open"),
    [
        ("https://chat.example", "chat.example", "X-Forwarded-Proto: https", True),
        ("https://chat.example", "chat.example:443", "X-Forwarded-Proto: https", True),
        ("https://chat.example", "chat.example", "X-Nothing: told", True),
        ("https://panel.example:8443", "chat.example", "X-Forwarded-Proto: https", True),
        ("https://chat.example:8443", "chat.example", "X-Forwarded-Proto: https", False),
        ("https://panel.example", "chat.example", "X-Forwarded-Proto: https", False),
        ("http://chat.example:443", "chat.example", "X-Forwarded-Proto: https", False),
    ],
)
def test_websocket_hijacking_behind_a_proxy_another_port_is_somebody_else(behind_proxy, origin, host, head, is_open):
    with logged_in(behind_proxy.server) as admin:
        cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    told = shake_hands(behind_proxy, "/admin/dashboard/live", origin, cookie, host=host, more=head)
    assert (b" 101 " in told) is is_open


def shake_hands(here: House, path: str, origin: str, cookie: str, *, host: str = "", more: str = "") -> bytes:
    address = urlsplit(here.server.base_url)
    head = [f"GET {path} HTTP/1.1", f"Host: {host or address.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    head += [f"Origin: {origin.format(here=address.netloc)}"] if origin else []
    head += [f"Cookie: {cookie}"] if cookie else []
    head += [more] if more else []
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        return connection.recv(2000)
