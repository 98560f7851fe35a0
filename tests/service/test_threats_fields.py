"""Scripts in every text that the database holds, past all checks of forms: no page lets one out.

The fields are read from the models: one that is new is poisoned too, and must be found on a page or be named below.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import pytest
from django.apps import apps
from django.db import models

from tests.databases import ABOUT_SQLITE
from tests.forms import logged_in, submit
from tests.gemini import error
from tests.service.houses import House, house
from tests.serving import chat

# PostgreSQL would refuse texts that are too long for their column.
pytestmark = ABOUT_SQLITE

SCRIPT = "\"'><img src=x onerror=pwned(1)><script>pwned(2)</script>"
BROKEN_OUT = re.compile(r"<img src=x|<script>pwned|[\"']><img")
PAGES = ("/", "/admin/", "/admin/dashboard/", "/admin/second-factor/", "/admin/proxy/requestlog/export/")

# Tables that hold no text of anybody's: names of our own code, digests, things encrypted.
OURS = {
    *("auth.Permission", "auth.Group", "contenttypes.ContentType", "sessions.Session"),
    *("axes.AccessAttempt", "axes.AccessFailureLog", "axes.AccessLog"),
    *("keys.Secret", "proxy.ThoughtSignature", "proxy.Recording", "otp_static.StaticToken"),
}
# Fields that hold nothing of anybody's, each with the reason.
SAFE = {
    "auth.User.password": "a hash",
    "keys.Key.ciphertext": "encrypted; with anything else in it the key would be unreadable",
    "keys.Key.digest": "a digest",
    "keys.Member.digest": "a digest",
    "otp_totp.TOTPDevice.key": "random",
    "proxy.RequestLog.dialect": "a word of ours",
    "proxy.RequestLog.code": "a word of ours",
    "admin.LogEntry.object_id": "a number",
}
# What no page shows today.
UNSEEN = {
    *(
        "admin.LogEntry.object_repr",
        "keys.LearnedLimit.model",
        "otp_static.StaticDevice.name",
        "otp_totp.TOTPDevice.name",
    ),
}


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), ALLOWED_HOSTS="chat.example") as here:
        fill(here)
        here.server.write(
            *(poison(FIELDS[name], mark) for name, mark in MARKS.items()),
            ("UPDATE proxy_revision SET number = number + 1", ()),
        )
        yield here


def texts() -> dict[str, models.Field[Any, Any]]:
    """Return each field of the database that can hold a text, by its name."""
    found = {}
    # A proxy model is another view of the same columns.
    for model in (model for model in apps.get_models() if not model._meta.proxy):
        for field in model._meta.concrete_fields:
            name = f"{model._meta.label}.{field.name}"
            if isinstance(field, models.CharField | models.TextField | models.JSONField) and not field.choices:
                found[name] = field
    return found


FIELDS = {name: field for name, field in texts().items() if name not in SAFE and field.model._meta.label not in OURS}
MARKS: Mapping[str, str] = {name: f"mark{number}x" for number, name in enumerate(FIELDS, 10)}


def fill(here: House) -> None:
    """Leave at least one row in every table that pages show."""
    with logged_in(here.server) as admin:
        submit(admin, "/admin/keys/group/add/", name="group")
        submit(admin, "/admin/keys/member/add/", name="member", password="the-member-1")
        submit(admin, "/admin/proxy/blockedmodel/add/", pattern="blocked-*")
        submit(admin, "/admin/proxy/settings/1/change/", search_prompt="x")
        admin.get("/admin/second-factor/")
    with here.server.client("the-member-1") as client:
        here.gemini.always(error("per_minute"), model="gemini-2.5-flash")
        client.post("/v1/chat/completions", json=chat())
        here.gemini.clear()
        client.post("/v1/chat/completions", json=chat(model="gemini-2.5-pro"))
    here.server.write(
        (
            "INSERT INTO keys_learnedlimit (key_id, model, per_day, learned_at)"
            " SELECT id, 'x', 50, datetime('now') FROM keys_key",
            (),
        ),
        ("INSERT INTO keys_modellimit (member_id, pattern) SELECT id, 'x' FROM keys_member", ()),
    )


def poison(field: models.Field[Any, Any], mark: str) -> tuple[str, list[str]]:
    """Return what puts the script into a field of every row, as if nothing had ever checked it."""
    text = f"{mark}{SCRIPT}"
    column, table = field.column, field.model._meta.db_table
    if isinstance(field, models.JSONField):
        return f"UPDATE {table} SET {column} = ?", [json.dumps([text] if field.default is list else {text: text})]
    # The row's number last: some must differ.
    number = f" || {field.model._meta.pk.column}" if field.unique else ""
    return f"UPDATE {table} SET {column} = ?{number}", [text]


def look_around(admin: Any) -> dict[str, str]:
    """Return every page that links lead to, a few of each kind."""
    waiting, pages, kinds = list(PAGES), {}, {}
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"\d+", "0", path.partition("?")[0]) + ("?" if "?" in path else "")
        kinds[kind] = kinds.get(kind, 0) + 1
        if path in pages or kinds[kind] > 4 or re.search(r"/logout/|/language/|/static/|/delete/", path):
            continue
        page = admin.get(path, follow_redirects=True)
        assert page.status_code < 500, path
        pages[path] = page.text
        if "html" in page.headers.get("content-type", ""):
            waiting += [urljoin(path, link) for link in re.findall(r'href="([/?][^"#]*)"', page.text)]
    return pages


@pytest.fixture(scope="module")
def pages(poisoned: House) -> dict[str, str]:
    with logged_in_again(poisoned) as admin:
        found = look_around(admin)
        found["the dashboard's numbers"] = admin.get("/admin/dashboard/snapshot").text
    with poisoned.server.client("the-member-1", headers={"accept": "text/html"}) as member:
        found["a member's own page"] = member.get("/me").text
    return found


@contextlib.contextmanager
def logged_in_again(here: House) -> Iterator[Any]:
    [user] = here.server.rows("SELECT username FROM auth_user")
    with logged_in(here.server, username=user["username"]) as admin:
        yield admin


def test_every_text_of_the_models_is_poisoned_or_named() -> None:
    assert SAFE.keys() <= texts().keys()
    assert {model._meta.label for model in apps.get_models()} >= OURS
    assert {"keys.Member.name", "keys.Group.note", "proxy.BlockedModel.note", "proxy.Attempt.message"} <= FIELDS.keys()


def test_no_script_gets_out_on_any_page(pages: dict[str, str]) -> None:
    html = {path: text for path, text in pages.items() if "<html" in text}

    assert len(html) > 40
    assert {path for path, text in html.items() if BROKEN_OUT.search(text)} == set()


def test_every_poisoned_field_stands_on_a_page_or_is_named(pages: dict[str, str]) -> None:
    everything = "\n".join(pages.values())
    unseen = {name for name, mark in MARKS.items() if mark not in everything}

    assert unseen == UNSEEN


def test_what_is_searched_and_filtered_for_is_shown_harmlessly(poisoned: House) -> None:
    lists = ("keys/key", "keys/member", "keys/group", "proxy/requestlog", "proxy/blockedmodel", "proxy/upstreammodel")
    with logged_in_again(poisoned) as admin:
        for path in lists:
            for name in ("q", "o", "p", "e", SCRIPT, "model", "outcome", "member", "_changelist_filters", "_popup"):
                page = admin.get(f"/admin/{path}/", params={name: SCRIPT}, follow_redirects=True)
                assert page.status_code == 200, (path, name)
                assert not BROKEN_OUT.search(page.text), (path, name)
