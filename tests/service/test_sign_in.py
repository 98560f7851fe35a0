"""Signing in: guesses are throttled by the true address, cookies are right behind proxies, a second factor holds."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from hajimi_site.guesses import pause_after
from hajimi_site.models import SealedDevice
from hajimi_site.sign_in import client_address
from keys import vault
from keys.models import Key, Secret
from tests.databases import ABOUT_SQLITE, database
from tests.service.houses import House, house
from tests.serving import ADMIN_PASSWORD
from tests.work import calls_of

LOGIN, FACTOR, PASSWORD = "/admin/login/?next=/admin/", "/admin/second-factor/", "an admin's own password"


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with house(folder, TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS="chat.example") as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


def attempt(
    here: House, password: str, headers: dict[str, str] | None = None, *, username: str = "admin"
) -> httpx.Response:
    """Log in as a fresh browser does."""
    # Each costs a third of a second of work, and many may come at once on a busy machine.
    with httpx.Client(base_url=here.server.base_url, trust_env=False, headers=headers, timeout=50) as browser:
        form = browser.get(LOGIN)
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', form.text)
        assert token
        cookies = dict(form.cookies)
        fields = {"username": username, "password": password, "csrfmiddlewaretoken": token[1]}
        # httpx keeps secure cookies from plain http, which the proxy's side of this wire is.
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        return browser.post(LOGIN, data=fields, headers=sent)


def forwarded(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address}


def test_guesses_are_throttled_by_the_true_address(behind_proxy: House) -> None:
    guesses = [attempt(behind_proxy, f"guess {number}", forwarded("198.51.100.7")) for number in range(9)]

    assert [answer.status_code for answer in guesses[:7]] == [200] * 7
    assert guesses[-1].status_code == 429
    assert 50 < int(guesses[-1].headers["retry-after"]) <= 60
    assert "for one minute" in guesses[-1].text
    assert attempt(behind_proxy, ADMIN_PASSWORD, forwarded("198.51.100.7")).status_code == 429
    assert attempt(behind_proxy, ADMIN_PASSWORD, forwarded("198.51.100.8")).status_code == 302


def test_a_forged_header_does_not_evade_the_throttle(plain: House) -> None:
    answers = [attempt(plain, f"guess {number}", forwarded(f"203.0.113.{number}")) for number in range(9)]

    assert answers[-1].status_code == 429


# What a wrong guess after each pause costs, in seconds.
GROWING = [60, 300, 900, 3600, 3600]


def later(here: House, minutes: float) -> None:
    """Let that much time pass for those who guess."""
    here.server.write(
        ("UPDATE axes_accessattempt SET attempt_time = datetime(attempt_time, ?)", [f"-{minutes} minutes"])
    )


@ABOUT_SQLITE
@pytest.mark.parametrize(("trusted", "rotating"), [("", True), ("127.0.0.1", False)], ids=["straight", "proxy"])
def test_pauses_grow_outlive_a_restart_and_heed_the_true_address(tmp_path: Path, trusted: str, rotating: bool) -> None:
    """Straight: whatever is forged, the peer counts. Behind a trusted proxy: the address that the proxy saw."""
    with house(tmp_path, TRUSTED_PROXIES=trusted) as here:
        numbers = iter(range(1000))

        def guess() -> httpx.Response:
            forged = f"203.0.113.{next(numbers) % 250}"
            return attempt(here, "a guess", forwarded(forged if rotating else f"{forged}, 198.51.100.7"))

        assert [guess().status_code for _ in range(7)] == [200] * 7
        told = []
        for pause in GROWING:
            told.append(int(guess().headers["retry-after"]))
            assert guess().status_code == 429
            if pause == GROWING[0]:
                here.server.stop()
                here.server.start()
            # Guesses during a pause neither count nor make it longer.
            assert 0 < int(guess().headers["retry-after"]) <= pause
            later(here, pause / 60)

        assert told == GROWING
        if not rotating:
            assert attempt(here, ADMIN_PASSWORD, forwarded("198.51.100.8")).status_code == 302
        # Nobody guesses any more for a day.
        later(here, 24 * 60)
        assert guess().status_code == 200


def test_a_name_under_siege_is_not_shut_but_each_address_has_one_guess(tmp_path: Path) -> None:
    with house(tmp_path, TRUSTED_PROXIES="127.0.0.1") as here:
        assert attempt(here, "a guess", forwarded("203.0.113.0")).status_code == 200
        # As if 23 other addresses had guessed as well.
        here.server.write(("UPDATE axes_accessattempt SET failures_since_start = 24 WHERE username != ''", ()))

        besieger = attempt(here, "a guess", forwarded("203.0.113.200"))
        again = attempt(here, "a guess", forwarded("203.0.113.0"))

        assert (besieger.status_code, besieger.headers["retry-after"]) == (429, "60")
        assert again.status_code == 429
        assert attempt(here, ADMIN_PASSWORD, forwarded("198.51.100.8")).status_code == 302
        # The right password was no guess: it has cost its address nothing.
        assert attempt(here, ADMIN_PASSWORD, forwarded("198.51.100.8")).status_code == 302


def test_many_guesses_at_the_same_moment_are_as_many_guesses(behind_proxy: House) -> None:
    def guess(number: int) -> int:
        return attempt(behind_proxy, "a guess", forwarded("198.51.100.99"), username="nobody").status_code

    with ThreadPoolExecutor(16) as crowd:
        statuses = list(crowd.map(guess, range(16)))

    assert statuses.count(200) == 7
    assert statuses.count(429) == 9


@pytest.mark.parametrize(("path", "leads_to"), [("/admin/login/", "/admin/"), ("/admin/keys/key/", "/admin/keys/key/")])
def test_the_login_leads_to_where_one_wanted(admin: User, path: str, leads_to: str) -> None:
    browser = Client()
    page = browser.get(path, follow=True)
    form = re.search(r'<form action="([^"]+)"[^>]*id="login-form">(.*?)</form>', page.content.decode(), re.S)
    assert form
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[2]))

    answer = browser.post(form[1], hidden | {"username": "root", "password": PASSWORD})

    assert answer.headers["location"] == leads_to


def test_whoever_has_to_wait_fills_no_table_with_names(admin: User) -> None:
    def guess_at(name: str) -> int:
        return Client().post(LOGIN, {"username": name, "password": "a guess"}).status_code

    assert [guess_at(f"name {number}") for number in range(8)][-1] == 429
    before = AccessAttempt.objects.count()

    assert {guess_at(f"another name {number}") for number in range(20)} == {429}
    assert AccessAttempt.objects.count() == before


def test_a_password_typed_into_the_field_of_the_name_is_kept_nowhere(behind_proxy: House) -> None:
    attempt(behind_proxy, "x", forwarded("198.51.100.19"), username="a password in the wrong field")

    assert "wrong field" not in str(behind_proxy.server.rows("SELECT * FROM axes_accessattempt"))
    assert "wrong field" not in behind_proxy.server.output


def test_whoever_has_an_account_cannot_guess_at_another_between_two_good_passwords(admin: User) -> None:
    User.objects.create_superuser("other", password=PASSWORD)

    for number in range(7):
        assert Client().post(LOGIN, {"username": "other", "password": f"guess {number}"}).status_code == 200
        assert log_in().status_code == 302

    assert Client().post(LOGIN, {"username": "other", "password": "one more"}).status_code == 429


def test_an_unknown_a_disabled_and_a_known_name_cost_the_same_work(admin: User) -> None:
    User.objects.create_superuser("off", password=PASSWORD, is_active=False)

    def guessed(name: str, password: str) -> dict[str, int]:
        def guess() -> None:
            request = RequestFactory().post("/admin/login/", REMOTE_ADDR="198.51.100.7")
            assert authenticate(request, username=name, password=password) is None

        # The first one makes the rows in which guesses are counted.
        guess()
        calls = calls_of(guess)
        return {call: calls.count(call) for call in ("MD5PasswordHasher.encode", "CursorWrapper.execute")}

    wrong = guessed("root", "a guess")

    assert wrong["MD5PasswordHasher.encode"] == 1
    assert guessed("nobody", "a guess") == guessed("off", "a guess") == guessed("off", PASSWORD) == wrong


async def test_no_way_of_asking_passes_the_account_of_guesses_by(admin: User) -> None:
    def request() -> Any:
        return RequestFactory().post("/admin/login/", REMOTE_ADDR="198.51.100.7")

    for number in range(8):
        assert await aauthenticate(request(), username="root", password=f"guess {number}") is None

    assert await aauthenticate(request(), username="root", password=PASSWORD) is None


@pytest.mark.parametrize(
    ("wrong", "at_name", "seconds"),
    [
        (0, 0, 0),
        (7, 7, 0),
        (8, 8, 60),
        (9, 9, 300),
        (10, 10, 900),
        (11, 11, 3600),
        (500, 500, 3600),
        (7, 23, 0),
        (0, 24, 0),
        (1, 24, 60),
        (2, 1000, 300),
    ],
)
def test_how_long_who_guesses_waits(wrong: int, at_name: int, seconds: float) -> None:
    assert pause_after(wrong, at_name) == seconds


def test_no_guess_stands_in_the_log_or_the_database(behind_proxy: House) -> None:
    attempt(behind_proxy, "a guess that is a secret", forwarded("198.51.100.9"))

    assert "a guess that is a secret" not in behind_proxy.server.output
    assert "a guess that is a secret" not in str(behind_proxy.server.rows("SELECT * FROM axes_accessattempt"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_login_and_cookies_are_right_behind_a_tls_proxy(behind_proxy: House, scheme: str) -> None:
    headers = {"x-forwarded-proto": scheme, "host": "chat.example", "origin": f"{scheme}://chat.example"}
    headers |= {"referer": f"{scheme}://chat.example/admin/login/", "x-forwarded-for": "198.51.100.20"}

    answer = attempt(behind_proxy, ADMIN_PASSWORD, headers)

    assert answer.status_code == 302
    [session] = [cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith("sessionid=")]
    flags = {flag.strip().lower() for flag in session.split(";")[1:]}
    assert {"httponly", "samesite=lax"} <= flags
    assert ("secure" in flags) is (scheme == "https")


def test_a_form_of_another_site_is_refused(behind_proxy: House) -> None:
    headers = {"x-forwarded-proto": "https", "host": "chat.example", "origin": "https://evil.example"}

    assert attempt(behind_proxy, ADMIN_PASSWORD, headers).status_code == 403


def test_login_works_on_a_hosting_platform(tmp_path: Path) -> None:
    here = {"SPACE_HOST": "me-hajimi.hf.space", "SPACE_ID": "me/hajimi", "SECRET_KEY": "s" * 50}
    with house(tmp_path, **here) as running:
        name = {"host": "me-hajimi.hf.space", "origin": "https://me-hajimi.hf.space"}
        answer = attempt(running, ADMIN_PASSWORD, name | {"referer": "https://me-hajimi.hf.space/admin/login/"})
        with running.server.client("") as browser:
            page = browser.get("/", headers=name)

    assert answer.status_code == 302
    assert "secure" in answer.headers["set-cookie"].lower()
    assert answer.headers["x-frame-options"] == "DENY"
    assert re.search(r'<a[^>]*href="/admin/"[^>]*target="_blank"|target="_blank"[^>]*href="/admin/"', page.text)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("", "0.0.0.0"),
        ("rubbish", "0.0.0.0"),
    ],
)
def test_an_address_counts_as_a_whole_network_where_one_person_has_all_of_it(address: str, counted: str) -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=address)) == counted


def test_guesses_on_the_page_that_reveals_keys_are_throttled_too(admin: User) -> None:
    key = Key.objects.create(ciphertext="-", digest="1", tail="WXYZ")
    browser = Client()
    browser.force_login(admin)
    address = f"/admin/keys/key/{key.pk}/reveal/"

    answers = [browser.post(address, {"password": f"guess {number}"}).status_code for number in range(9)]

    assert answers[:7] == [200] * 7
    assert answers[-1] == 429
    assert browser.post(address, {"password": PASSWORD}).status_code == 429


# The second factor.


@pytest.fixture
def admin(tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[User]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        vault.forget()
        yield User.objects.create_superuser("root", password=PASSWORD)
        vault.forget()


def code_of(device: SealedDevice, *, later: int = 0) -> str:
    return f"{totp(device.bin_key, step=device.step, t0=device.t0) if not later else _later(device, later):06}"


def _later(device: SealedDevice, steps: int) -> int:
    from django_otp.oath import TOTP

    clock = TOTP(device.bin_key, device.step, device.t0)
    clock.time = time.time() + steps * device.step
    return int(clock.token())


def set_up(user: User) -> tuple[Client, list[str]]:
    """Set up the second factor as its page asks for it; return the browser and the recovery codes."""
    browser = Client()
    browser.force_login(user)
    browser.get(FACTOR)
    page = browser.post(FACTOR, {"code": code_of(SealedDevice.objects.get(user=user))}).content.decode()
    codes = re.search(r'<pre[^>]*id="codes">(.*?)</pre>', page, re.S)
    assert codes
    return browser, codes[1].split()


def log_in(**fields: str) -> Any:
    given = {"username": "root", "password": PASSWORD}
    return Client().post(LOGIN, given | fields)


def test_nobody_is_asked_for_a_code_before_somebody_has_set_one_up(admin: User) -> None:
    assert 'name="code"' not in Client().get(LOGIN).content.decode()
    assert log_in().status_code == 302


def test_a_second_factor_is_set_up_with_a_picture_and_a_code(admin: User) -> None:
    browser = Client()
    browser.force_login(admin)

    page = browser.get(FACTOR).content.decode()
    wrong = browser.post(FACTOR, {"code": "000000"}).content.decode()

    assert 'src="data:image/svg+xml' in page
    assert "not the code" in wrong
    assert not TOTPDevice.objects.filter(confirmed=True).exists()
    assert log_in().status_code == 302


@pytest.mark.parametrize("unreadable", ["<script>", "", "A" * 64])
def test_a_seed_that_can_no_longer_be_read_is_made_anew(admin: User, unreadable: str) -> None:
    browser = Client()
    browser.force_login(admin)
    browser.get(FACTOR)
    SealedDevice.objects.update(key=unreadable)

    assert browser.get(FACTOR).status_code == 200
    assert SealedDevice.objects.get().is_readable


def test_with_a_second_factor_the_password_alone_opens_nothing(admin: User) -> None:
    older = Client()
    older.force_login(admin)
    browser, codes = set_up(admin)
    device = SealedDevice.objects.get()

    assert browser.get("/admin/").status_code == 200
    assert older.get("/admin/").status_code == 302
    assert [row.get_decoded()["_auth_user_id"] for row in Session.objects.all()] == [str(admin.pk)]
    assert "Type the code" in log_in().content.decode()
    assert "The code is wrong" in log_in(code="123456").content.decode()
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    assert log_in(code=code_of(device, later=1)).status_code == 302
    assert len(codes) == 8


def test_a_recovery_code_works_once(admin: User) -> None:
    _, codes = set_up(admin)

    assert log_in(code=codes[0]).status_code == 302
    assert log_in(code=codes[0]).status_code == 200
    assert StaticToken.objects.count() == 7


def test_the_database_alone_makes_no_code(admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    secret = re.search(r"desk-mono\">([A-Z2-7]{32})<", browser.get(FACTOR).content.decode())
    assert secret
    seed = base64.b32decode(secret[1])
    assert SealedDevice.objects.get().bin_key == seed
    _, codes = set_up(admin)

    stored = TOTPDevice.objects.get().key
    assert seed.hex() not in stored
    assert base64.urlsafe_b64decode(stored) not in {seed, b""}
    assert not set(codes) & set(StaticToken.objects.values_list("token", flat=True))
    vault.forget()
    Secret.objects.all().delete()
    assert "The code is wrong" in log_in(code=codes[0]).content.decode()


def test_what_an_earlier_version_stored_in_clear_is_sealed_and_still_opens(admin: User) -> None:
    call_command("migrate", "hajimi_site", "zero", verbosity=0)
    old = TOTPDevice.objects.create(user=admin, name="app", key="12" * 20)
    recovery = StaticDevice.objects.create(user=admin, name="recovery")
    StaticToken.objects.create(device=recovery, token="abcd2345")

    call_command("migrate", "hajimi_site", verbosity=0)

    old.refresh_from_db()
    assert "12" * 20 not in old.key
    assert log_in(code=code_of(SealedDevice.objects.get())).status_code == 302
    assert log_in(code="abcd2345").status_code == 302


def test_taking_it_away_asks_for_the_password(admin: User) -> None:
    browser, _ = set_up(admin)

    assert "not your password" in browser.post(FACTOR, {"password": "a guess"}).content.decode()
    assert TOTPDevice.objects.exists()
    browser.post(FACTOR, {"password": PASSWORD})

    assert not TOTPDevice.objects.exists()
    assert log_in().status_code == 302
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Set up a second factor.",
        "Took the second factor away.",
    ]


def test_another_admin_or_the_command_line_helps_who_lost_the_phone(admin: User) -> None:
    other = User.objects.create_superuser("other", password=PASSWORD)
    set_up(other)
    browser = Client()
    browser.force_login(admin)

    browser.post("/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [other.pk]})
    assert not TOTPDevice.objects.exists()

    set_up(other)
    call_command("remove_second_factor", "other", stdout=None)
    assert not TOTPDevice.objects.exists()
    with pytest.raises(CommandError, match="nobody"):
        call_command("remove_second_factor", "nobody")


def test_nobody_s_secret_can_be_seen_by_another_admin(admin: User) -> None:
    set_up(User.objects.create_superuser("other", password=PASSWORD))
    browser = Client()
    browser.force_login(admin)

    assert browser.get("/admin/otp_totp/totpdevice/").status_code == 404
    assert browser.get("/admin/otp_static/staticdevice/").status_code == 404
