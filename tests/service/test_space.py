"""On a Hugging Face Space: behind its edge, in its frame, without a disk that lasts."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.databases import ABOUT_SQLITE
from tests.service.houses import house
from tests.service.test_moving_in import one_api
from tests.service.test_pages import framers
from tests.serving import ADMIN_PASSWORD, Server, chat, events_of

HOST = "owner-chat.hf.space"
SPACE = {"SPACE_ID": "owner/chat", "SPACE_HOST": HOST}
# What the platform's edge adds; the address it saw comes last.
THROUGH_THE_EDGE = {"host": HOST, "x-forwarded-for": "203.0.113.7"}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), **SPACE, MAX_REQUESTS_PER_DAY_PER_IP=2) as running:
        yield running


@pytest.fixture
def visitor(here):
    with here.server.client("", headers=THROUGH_THE_EDGE) as client:
        yield client


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    unset = {"ADMIN_PASSWORD": None, "GEMINI_API_KEYS": None, "SECRET_KEY": None}
    with house(tmp_path_factory.mktemp("house"), **SPACE, **unset) as running:
        yield running.server.output


def test_the_status_page_shows_the_public_address_and_opens_the_admin_in_a_new_tab(visitor):
    page = visitor.get("/")

    assert page.status_code == 200
    assert f"https://{HOST}/v1</code>" in page.text
    assert re.search(r'<a href="/admin/" target="_blank"', page.text)


def test_clickjacking_only_the_platforms_site_and_this_space_may_frame_it_and_nobody_the_admin(visitor):
    status, admin = visitor.get("/").headers, visitor.get("/admin/login/").headers

    # Other Spaces (*.hf.space) are anybody's.
    assert framers(status["content-security-policy"]) == ["'self'", "https://huggingface.co", f"https://{HOST}"]
    assert framers(admin["content-security-policy"]) == ["'none'"]
    assert "x-frame-options" not in status
    assert admin["x-frame-options"] == "DENY"


def test_an_admin_logs_in_over_https_as_the_edge_passes_it_on(visitor):
    page = visitor.get("/admin/login/")
    assert "secure" in page.headers["set-cookie"].lower()
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
    # The client keeps secure cookies off plain http; the browser spoke https.
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies.jar)
    headers = {"origin": f"https://{HOST}", "referer": f"https://{HOST}/admin/login/", "cookie": cookies}

    form = {"csrfmiddlewaretoken": token, "username": "admin", "password": ADMIN_PASSWORD, "next": "/admin/"}
    answer = visitor.post("/admin/login/", data=form, headers=headers)

    assert answer.status_code == 302, answer.text
    foreign = visitor.post("/admin/login/", data=form, headers={**headers, "origin": "https://evil.hf.space"})
    assert foreign.status_code == 403


def test_a_private_space_takes_the_password_beside_the_platforms_token(here, visitor):
    platform = {"authorization": "Bearer hf_thePlatformsOwnToken"}

    for form in (
        {"headers": {"x-api-key": here.server.password}},
        {"headers": {"x-goog-api-key": here.server.password}},
    ):
        answer = visitor.get("/v1/models", headers={**platform, **form["headers"]})
        assert answer.status_code == 200, answer.text
    assert visitor.get(f"/v1/models?key={here.server.password}", headers=platform).status_code == 200
    assert visitor.get("/v1/models", headers=platform).status_code == 401


def test_a_private_space_streams_an_answer_to_the_password_beside_the_platforms_token(tmp_path):
    with house(tmp_path, **SPACE) as private:
        ways = ({"x-api-key": private.server.password}, {"x-goog-api-key": private.server.password}, {})
        for number, way in enumerate(ways):
            headers = {**THROUGH_THE_EDGE, "authorization": "Bearer hf_thePlatformsOwnToken", **way}
            path = "/v1/chat/completions" + ("" if way else f"?key={private.server.password}")
            with private.server.client("", headers=headers) as client:
                answered = client.post(path, json=chat(stream=True))
            assert answered.status_code == 200, (number, answered.text)
            assert events_of(answered.text)[-1] == "[DONE]"
        assert "hf_thePlatformsOwnToken" not in private.server.output


@ABOUT_SQLITE
def test_with_a_bucket_a_restart_on_an_empty_disk_forgets_nothing(tmp_path):
    kept = {**SPACE, "SECRET_KEY": "a-long-random-text-that-stays-the-same", "BACKUP_DIR": tmp_path / "bucket"}
    kept |= {"MAX_REQUESTS_PER_DAY_PER_IP": 3}
    with house(tmp_path / "before", **kept) as first, first.server.client("", headers=THROUGH_THE_EDGE) as visitor:
        anna = json.loads(first.server.manage("create_member", "Anna", "--json").stdout)["password"]
        for _ in range(2):
            assert visitor.post("/v1/chat/completions", json=chat(), headers=own(first)).status_code == 200
        first.server.stop()

    with house(tmp_path / "after", **kept) as woken, woken.server.client("", headers=THROUGH_THE_EDGE) as visitor:
        assert visitor.get("/v1/models", headers={"x-api-key": anna}).status_code == 200
        # Two of three were used before it slept.
        asked = [visitor.post("/v1/chat/completions", json=chat(), headers=own(woken)).status_code for _ in range(2)]
        assert asked == [200, 429]
        assert "the database was missing. It is now as it was at" in woken.server.output


@ABOUT_SQLITE
def test_what_moved_in_at_home_comes_to_a_space_in_a_snapshot(tmp_path):
    """As docs/hugging-face.md tells it, for a Space has no command line."""
    secret, bucket = {"SECRET_KEY": "a-long-random-text-that-stays-the-same"}, tmp_path / "bucket"
    with house(tmp_path / "space", **SPACE, **secret, BACKUP_DIR=bucket) as there:
        there.server.stop()
    # A snapshot's name tells the second.
    time.sleep(1.1)
    home = Server(tmp_path / "home", secret)
    moved = home.manage("import_from", "one-api", one_api(tmp_path / "one-api.db"))
    saved = home.manage("backup", bucket)
    assert (moved.returncode, saved.returncode) == (0, 0)

    again = {**SPACE, **secret, "BACKUP_DIR": bucket}
    with house(tmp_path / "woken", **again) as woken, woken.server.client("", headers=THROUGH_THE_EDGE) as visitor:
        for password in ("sk-" + "k" * 48, woken.server.password):
            assert visitor.get("/v1/models", headers={"x-api-key": password}).status_code == 200


def own(there):
    return {"x-api-key": there.server.password}


def test_each_visitor_counts_for_themselves_and_nobody_can_pose_as_another(here, visitor):
    def ask(forwarded: str) -> int:
        headers = {"x-api-key": here.server.password, "x-forwarded-for": forwarded}
        return visitor.post("/v1/chat/completions", json=chat(), headers=headers).status_code

    assert [ask("198.51.100.1") for _ in range(3)] == [200, 200, 429]
    # What a client itself wrote stands further left.
    assert ask("203.0.113.99, 198.51.100.1") == 429
    assert ask("198.51.100.2, 10.1.2.3") == 200


def test_a_start_without_secrets_says_what_the_next_restart_will_lose(bare):
    for name in ("SECRET_KEY", "ADMIN_PASSWORD", "GEMINI_API_KEYS"):
        assert len(re.findall(rf"^.*\b{name} is unset.*New secret", bare, re.MULTILINE)) == 1, bare


def test_what_a_database_or_a_bucket_keeps_is_not_said_to_be_lost(bare):
    for name in ("ADMIN_PASSWORD", "GEMINI_API_KEYS"):
        assert re.search(rf"^.*\b{name} is unset.*unless DATABASE_URL or BACKUP_DIR\s+keeps", bare, re.MULTILINE), bare


def test_the_generated_admin_password_is_told_on_one_clear_line(bare):
    assert len(re.findall(r"^Admin account admin, password \S{16} \(shown only once\)$", bare, re.MULTILINE)) == 1


def test_after_a_sleep_the_secrets_set_everything_up_again(tmp_path_factory):
    secrets = {**SPACE, "SECRET_KEY": "a-long-random-text-that-stays-the-same"}
    for folder in ("before", "after"):
        with house(tmp_path_factory.mktemp(folder), **secrets) as woken:
            assert woken.server.chat().status_code == 200
            assert "is unset" not in woken.server.output
