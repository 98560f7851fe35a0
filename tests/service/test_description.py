"""The API's own description: whole, true, and readable by people; and what warns of the default password."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from proxy import openapi
from proxy.api_urls import ROUTES
from proxy.routing import Table
from tests.service.houses import house
from tests.serving import ADMIN_PASSWORD


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), PASSWORD=None, TRUSTED_PROXIES="127.0.0.1") as running:
        yield running


@pytest.fixture
def stranger(here):
    with here.server.client("") as client:
        yield client


def test_every_address_of_the_api_is_described_and_no_other() -> None:
    described = {operation.path for operation in openapi.OPERATIONS if not operation.is_open}
    table = Table(ROUTES)

    assert {
        path for path in described if table.find(path.replace("{model}", "m").replace("{name}", "m")) is None
    } == set()
    # Google's three versions are alike, so one is described; completions are refused.
    silent = ("/v1alpha/", "/v1/models/{model}:{verb}", "/v1/completions")
    told = [path for path in ROUTES if not path.startswith(silent) and "{verb}" not in path]
    assert {path for path in told if path not in described} == set()


def test_programs_read_the_description(here, stranger) -> None:
    answer = stranger.get("/openapi.json")

    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": here.server.base_url}]
    assert answer.headers["access-control-allow-origin"] == "*"
    names = set(re.findall(r"#/components/schemas/(\w+)", answer.text))
    assert names <= set(document["components"]["schemas"])
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("language", "words"), [("en", "A chat in OpenAI"), ("zh-CN", "OpenAI 格式的对话")])
def test_people_read_it_too_in_their_language(stranger, language, words) -> None:
    page = stranger.get("/docs", headers={"accept-language": language})

    assert page.status_code == 200
    assert words in page.text
    assert "/v1/chat/completions" in page.text
    assert not re.search(r"<script|\sstyle=|\son\w+=|//cdn", page.text)
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_while_the_password_is_123_everything_warns_in_red_and_later_nothing_does(here, stranger) -> None:
    assert "WARNING: PASSWORD is unset" in here.server.output
    page = stranger.get("/")
    assert 'class="warning" role="alert"' in page.text
    assert "The password here is 123" in page.text
    with logged_in(here.server) as admin:
        assert "the password is 123" in admin.get("/admin/").text

    here.server.restart(PASSWORD="a-password-of-my-own")

    with here.server.client("") as again, logged_in(here.server) as admin:
        assert 'role="alert"' not in again.get("/").text
        assert "the password is 123" not in admin.get("/admin/").text


@contextmanager
def logged_in(server):
    with server.client("") as browser:
        page = browser.get("/admin/login/")
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token}
        assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
        yield browser
