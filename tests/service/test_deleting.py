"""Deleting what the environment holds is refused in words: the next start would bring it back without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.forms import fields_of, logged_in
from tests.serving import KEYS, Server

OWN = "AIzaSyFakeKeyOfTheSimulator-----------D"
KEY_LIST, MEMBER_LIST = "/admin/keys/key/", "/admin/keys/member/"
WHY = "GEMINI_API_KEYS and would be back at the next start"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, {"GEMINI_API_KEYS": KEYS[:2], "GEMINI_BASE_URL": "http://127.0.0.1:9"})
    server.start()
    yield server
    server.kill()


def restart(server: Server, **changes: object) -> None:
    server.stop()
    server.changes |= changes
    server.start()


def ids(server: Server, table: str = "keys_key", name: str = "tail") -> dict[str, int]:
    return {row[name]: row["id"] for row in server.rows(f"SELECT id, {name} FROM {table}")}


def state_of(server: Server, tail: str) -> str:
    [row] = server.rows("SELECT disabled_by FROM keys_key WHERE tail = ?", tail)
    return str(row["disabled_by"])


def delete(browser: httpx.Client, path: str) -> httpx.Response:
    """Click delete on a row's page, and confirm where that is asked."""
    asked = browser.get(path + "delete/", follow_redirects=True)
    if not asked.url.path.endswith("/delete/"):
        return asked
    return browser.post(path + "delete/", data=fields_of(asked) | {"post": "yes"}, follow_redirects=True)


def select(browser: httpx.Client, path: str, action: str, *rows: int, **more: str) -> httpx.Response:
    form = {"csrfmiddlewaretoken": fields_of(browser.get(path))["csrfmiddlewaretoken"], "action": action, **more}
    chosen = {**form, "_selected_action": [str(row) for row in rows]}
    return browser.post(path, data=chosen, follow_redirects=True)


def test_a_key_of_the_environment_is_not_deleted_but_can_be_disabled_through_restarts(server: Server) -> None:
    first = ids(server)[KEYS[0][-4:]]
    with logged_in(server) as browser:
        refused = delete(browser, f"{KEY_LIST}{first}/")
        select(browser, KEY_LIST, "disable", first)

    restart(server)

    assert WHY in refused.text
    assert refused.url.path == f"{KEY_LIST}{first}/change/"
    assert state_of(server, KEYS[0][-4:]) == "admin"


def test_a_key_that_left_the_environment_can_be_deleted_and_stays_away(server: Server) -> None:
    first = ids(server)[KEYS[0][-4:]]
    restart(server, GEMINI_API_KEYS=KEYS[1:2])
    with logged_in(server) as browser:
        delete(browser, f"{KEY_LIST}{first}/")

    restart(server)

    assert list(ids(server)) == [KEYS[1][-4:]]


def test_among_many_only_the_admins_own_keys_are_deleted(server: Server) -> None:
    with logged_in(server) as browser:
        added = browser.get(KEY_LIST + "add/")
        browser.post(KEY_LIST + "add/", data=fields_of(added) | {"secret": OWN})
        rows = ids(server)
        asked = select(browser, KEY_LIST, "delete_selected", *rows.values())
        done = select(browser, KEY_LIST, "delete_selected", *rows.values(), post="yes")

    assert len(rows) == 3
    assert "2 keys are not deleted" in asked.text
    assert OWN[-4:] in asked.text
    assert WHY in done.text
    assert set(ids(server)) == {key[-4:] for key in KEYS[:2]}


def test_a_key_of_the_environment_that_an_admin_imported_as_well_is_not_deleted(server: Server) -> None:
    first = ids(server)[KEYS[0][-4:]]
    with logged_in(server) as browser:
        page = browser.get(KEY_LIST + "import/")
        browser.post(KEY_LIST + "import/", data=fields_of(page) | {"keys": KEYS[0]})
        refused = delete(browser, f"{KEY_LIST}{first}/")

    [row] = server.rows("SELECT source FROM keys_key WHERE id = ?", first)
    assert row["source"] == "admin"
    assert WHY in refused.text


def test_the_member_of_password_is_not_deleted(server: Server) -> None:
    shared = ids(server, "keys_member", "name")["shared"]
    with logged_in(server) as browser:
        refused = delete(browser, f"{MEMBER_LIST}{shared}/")
        many = select(browser, MEMBER_LIST, "delete_selected", shared, post="yes")

    assert "while PASSWORD is set" in refused.text
    assert "while PASSWORD is set" in many.text
    assert "shared" in ids(server, "keys_member", "name")
