"""A member's own page: what it tells, to whom, and that nothing of it can be guessed or read by others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gemini import FakeGemini, answer, blocked
from tests.service.houses import House, house
from tests.serving import Server, chat

JSON = {"accept": "application/json"}
HTML = {"accept": "text/html,application/xhtml+xml"}
SECOND = "annas second password"


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("me"), MAX_REQUESTS_PER_MINUTE=30, MAX_REQUESTS_PER_DAY_PER_IP=50) as started:
        yield started


@pytest.fixture
def at(shared_house: House) -> House:
    return shared_house.clear()


def sql(server: Server, *statements: str) -> None:
    """Change rows as another process would, and wait until requests run with it."""
    server.write(*((one, ()) for one in (*statements, "UPDATE proxy_revision SET number = number + 1")))
    time.sleep(1.3)


def own(server: Server) -> None:
    """Make the member an admin's own: one that the environment brought keeps its password."""
    sql(server, "UPDATE keys_member SET source = 'admin', name = 'Anna'")


def ask(server: Server, password: str | None = None, **options: Any) -> httpx.Response:
    with server.client(password) as client:
        return client.request(options.pop("method", "GET"), options.pop("path", "/me"), **options)


def limits(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{one['name']} {one['models'] or ''}".strip(): one for one in document["limits"]}


def test_without_a_password_it_is_a_form_and_for_programs_a_refusal(at: House) -> None:
    page = ask(at.server, "", headers=HTML)
    refused = ask(at.server, "", headers=JSON)

    assert page.status_code == 200
    assert '<input type="password" name="password"' in page.text
    assert "no-store" in page.headers["cache-control"]
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script src=" in page.text
    assert not re.search(r"<script>|<style|style=| on\w+=", page.text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


def test_it_tells_limits_use_requests_models_and_no_secret(at: House) -> None:
    at.server.chat("a very private question", model="gemini-2.5-flash")
    at.gemini.replies(blocked())
    at.server.chat("another private question", model="gemini-2.5-flash")

    document = ask(at.server, headers=JSON).json()

    minute, address = limits(document)["requests_per_minute"], limits(document)["requests_per_day_and_address"]
    assert (minute["limit"], minute["used"], minute["remaining"]) == (30, 2, 28)
    assert 0 < minute["resets_in"] <= 60
    assert (address["limit"], address["used"], address["remaining"]) == (50, 1, 49)
    assert limits(document)["requests_per_day"] == {
        "name": "requests_per_day",
        "models": None,
        "limit": None,
        "used": None,
        "remaining": None,
        "resets_in": None,
        "resets_at": None,
    }
    assert (document["member"], document["today"]["requests"]) == ("shared", 1)
    assert [one["model"] for one in document["today"]["models"]] == ["gemini-2.5-flash"]
    last, first = document["recent"]
    assert (last["outcome"], last["status"], first["outcome"], first["status"]) == ("blocked", 400, "answered", 200)
    assert last["id"].startswith("req_")
    assert "gemini-2.5-pro" in document["models"]
    assert document["base_url"] == f"{at.server.base_url}/v1"
    page = ask(at.server, headers=HTML).text
    for text in (page, str(document)):
        assert "private" not in text
        assert at.server.password not in text
        assert "AIza" not in text
    assert f"{at.server.base_url}/v1" in page
    assert last["id"] in page


def test_the_password_may_come_in_the_form_or_in_any_header_but_not_in_the_address(at: House) -> None:
    password = at.server.password

    for headers in ({"authorization": f"Bearer {password}"}, {"x-api-key": password}, {"x-goog-api-key": password}):
        assert ask(at.server, "", headers={**JSON, **headers}).status_code == 200
    assert ask(at.server, "", headers=JSON, method="POST", data={"password": password}).json()["member"] == "shared"
    posted = ask(at.server, "", headers=HTML, method="POST", data={"password": password})
    assert 'id="limits"' in posted.text
    assert password not in posted.text
    assert ask(at.server, "", headers=JSON, params={"key": password}).status_code == 401


def test_it_speaks_the_browser_s_language(at: House) -> None:
    page = ask(at.server, headers={**HTML, "accept-language": "zh-CN"})

    assert '<html lang="zh-hans">' in page.text
    assert "accept-language" in page.headers["vary"].lower()


def test_it_shows_every_limit_of_a_member(gemini: FakeGemini, serve: Callable[..., Server]) -> None:
    server = serve(MAX_REQUESTS_PER_DAY_PER_IP=0)
    sql(
        server,
        "UPDATE keys_member SET requests_per_day = 9, tokens_per_day = 100000, parallel_requests = 2,"
        " blocked_models = 'gemini-2.5-flash*', requests_per_minute = 0",
        "INSERT INTO keys_modellimit (member_id, pattern, requests_per_day)"
        " SELECT id, 'gemini-2.5-*', 4 FROM keys_member",
    )
    gemini.always(answer("pong"))
    server.chat(model="gemini-2.5-pro")

    document = ask(server, headers=JSON).json()

    assert {
        name: (one["limit"], one["remaining"]) for name, one in limits(document).items() if "tokens" not in name
    } == {
        "requests_per_minute": (None, None),
        "requests_per_day": (9, 8),
        "parallel_requests": (2, 2),
        "requests_per_day gemini-2.5-*": (4, 3),
    }
    tokens = limits(document)["tokens_per_day"]
    assert tokens["used"] == sum(document["today"][f"{kind}_tokens"] for kind in ("prompt", "completion")) > 0
    assert 0 < tokens["resets_in"] <= 86_400
    assert "gemini-2.5-pro" in document["models"]
    assert not any(name.startswith("gemini-2.5-flash") for name in document["models"])
    assert "gemini-2.5-*" in ask(server, headers=HTML).text


def test_guesses_are_throttled_like_those_at_the_api(serve: Callable[..., Server]) -> None:
    server = serve()
    forms = [ask(server, "", headers=HTML, method="POST", data={"password": f"wrong {n}"}) for n in range(10)]
    assert {page.status_code for page in forms} == {401}
    assert all("This password is not known here" in page.text for page in forms)

    for method in ("GET", "POST"):
        throttled = ask(server, "guess", headers=HTML, method=method)
        assert throttled.status_code == 429
        assert int(throttled.headers["retry-after"]) >= 1
        assert "Too many wrong passwords" in throttled.text
    assert ask(server, "guess", headers=JSON).json()["error"]["code"] == "too_many_guesses"
    with server.client("guess") as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 429


@pytest.mark.parametrize("change", ["enabled = false", "expires_at = '2020-01-01 00:00:00'"])
def test_disabled_and_expired_members_are_refused_like_unknown_passwords(
    serve: Callable[..., Server], change: str
) -> None:
    server = serve()
    unknown = ask(server, "nobody's password", headers=JSON)
    sql(server, f"UPDATE keys_member SET {change}")

    refused = ask(server, headers=JSON)

    assert refused.status_code == unknown.status_code == 401
    sentences = [one.json()["error"]["message"].partition(" (req_")[0] for one in (refused, unknown)]
    assert sentences == ["This password is not known here; ask the admin of this server."] * 2


def test_trying_what_might_be_another_s_password_is_throttled_like_guessing(serve: Callable[..., Server]) -> None:
    server = serve()
    own(server)
    password = server.password
    for number in range(60):
        wished = f"a-wish-of-mine-{number}"
        told = ask(server, password, path="/me/password", method="POST", headers=JSON, data={"new_password": wished})
        if told.status_code == 429:
            break
        # On a busy machine requests run with the new password a little later: then it is tried again.
        password = wished if told.status_code == 200 else password

    assert told.status_code == 429
    assert int(told.headers["retry-after"]) >= 1
    # Whoever has a password that works is not shut out of anything else.
    assert ask(server, password, headers=JSON).status_code == 200


def test_a_member_gives_itself_a_new_password(serve: Callable[..., Server]) -> None:
    server = serve()
    own(server)
    change = {"path": "/me/password", "method": "POST"}

    page = ask(server, "", headers=HTML, **change, data={"password": server.password}).text
    made = re.search(r'<code id="made">(.+?)</code>', page)
    assert made
    assert len(made[1]) >= 20
    assert ask(server, headers=JSON).status_code == 401
    assert ask(server, made[1], headers=JSON).json()["member"] == "Anna"

    chosen = ask(server, made[1], headers=JSON, **change, data={"new_password": SECOND})
    assert chosen.json() == {"member": "Anna", "password": None}
    assert ask(server, made[1], headers=JSON).status_code == 401
    with server.client(SECOND) as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    third = ask(server, SECOND, headers=JSON, **change).json()["password"]
    assert ask(server, third, headers=JSON).status_code == 200
    assert not any(word in server.output for word in (made[1], SECOND, third))


@pytest.mark.parametrize(
    ("password", "complaint"),
    [("short", "too short"), ("password123", "too common"), ("пароль-пароль", "ASCII"), ("Anna", "too short")],
)
def test_a_new_password_that_will_not_do_changes_nothing(at: House, password: str, complaint: str) -> None:
    own(at.server)
    change = {"path": "/me/password", "method": "POST", "data": {"new_password": password}}

    refused = ask(at.server, headers=JSON, **change)
    page = ask(at.server, headers=HTML, **change)

    assert refused.status_code == page.status_code == 400
    assert complaint in refused.json()["error"]["message"]
    assert refused.json()["error"]["param"] == "new_password"
    assert complaint in page.text
    assert 'id="limits"' in page.text
    assert ask(at.server, headers=JSON).status_code == 200


def test_a_password_of_the_environment_and_a_wrong_one_change_nothing(serve: Callable[..., Server]) -> None:
    server = serve()
    change = {"path": "/me/password", "method": "POST", "data": {"new_password": SECOND}}

    refused = ask(server, headers=JSON, **change)
    assert (refused.status_code, "configuration" in refused.json()["error"]["message"]) == (400, True)
    assert "only its admin can change it" in ask(server, headers=HTML).text
    assert ask(server, "wrong", headers=JSON, **change).status_code == 401
    assert ask(server, headers=JSON).status_code == 200
    assert ask(server, SECOND, headers=JSON).status_code == 401
    assert ask(server, headers=JSON, path="/me/password").status_code == 405
