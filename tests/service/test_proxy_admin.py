"""The admin pages of logs, settings and models, as an admin uses them in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from keys import vault
from keys.models import Key, Member
from proxy import request_id, runtime
from proxy.admin import SHOWN_AT_MOST
from proxy.admin.settings import GROUPS
from proxy.behaviour import Behaviour
from proxy.models import Attempt, BlockedModel, RequestLog, Settings, UpstreamModel
from tests.databases import database
from tests.gemini import FakeGemini

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)
LOGS = "admin:proxy_requestlog_changelist"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        yield


@pytest.fixture
def browser() -> Client:
    # A new database's first page makes its pepper.
    vault.unlock()
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def log(number: int = 0, **fields: Any) -> RequestLog:
    given = {"started_at": NOW, "address": "10.0.0.1", "dialect": "openai", "model": "gemini-2.5-flash"}
    given |= {"stream": False, "outcome": "answered", "status": 200, "duration_ms": 1}
    return RequestLog(id=request_id.new(NOW.timestamp() + number), **given | fields)


def settings_form(**changes: str) -> dict[str, str]:
    form = {one.name: "" for one in fields(Behaviour)}
    booleans = {one.name: "unknown" for one in fields(Behaviour) if one.type == "bool"}
    return form | booleans | changes


def save_settings(browser: Client, **changes: str) -> Any:
    return browser.post(reverse("admin:proxy_settings_change", args=[1]), settings_form(**changes), follow=True)


def test_the_log_shows_the_id_that_clients_quote(browser: Client) -> None:
    one = log()
    one.save()

    page = browser.get(reverse(LOGS))

    assert request_id.shown(one.pk) in page.content.decode()


def test_a_request_is_found_by_its_quoted_id(browser: Client) -> None:
    logs = RequestLog.objects.bulk_create(log(number) for number in range(5))

    page = browser.get(reverse(LOGS), {"q": f" {request_id.shown(logs[3].pk).upper()} "}).content.decode()

    assert [request_id.shown(one.pk) in page for one in logs] == [False, False, False, True, False]


@pytest.mark.parametrize("term", ["gemini-2.5-pro", "10.9.9.9", "content_filter"])
def test_requests_are_found_by_model_address_or_code(browser: Client, term: str) -> None:
    log(1).save()
    log(2, model="gemini-2.5-pro", address="10.9.9.9", code="content_filter").save()

    page = browser.get(reverse(LOGS), {"q": term})

    assert page.context["cl"].result_count == 1


@pytest.mark.parametrize("term", ["", "nothing", "req_zzzzzzzzzzzzz", "\0", "'; DROP TABLE", "req_" + "u" * 13])
def test_any_search_text_gives_a_page(browser: Client, term: str) -> None:
    assert browser.get(reverse(LOGS), {"q": term}).status_code == 200


@pytest.mark.parametrize("query", [{"outcome__exact": "empty"}, {"stream__exact": "1"}, {"dialect": "openai"}])
def test_the_log_can_be_filtered(browser: Client, query: dict[str, str]) -> None:
    assert browser.get(reverse(LOGS), query).status_code == 200


def test_the_log_never_counts_a_large_table(browser: Client) -> None:
    RequestLog.objects.bulk_create(log(number) for number in range(SHOWN_AT_MOST + 200))

    with CaptureQueriesContext(connection) as queries:
        page = browser.get(reverse(LOGS))

    assert page.context["cl"].result_count == SHOWN_AT_MOST
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]


def test_the_log_fetches_its_members_in_the_same_query(browser: Client) -> None:
    members = [Member.objects.create(name=f"member {number}", digest=str(number)) for number in range(20)]
    RequestLog.objects.bulk_create(log(number, member=member) for number, member in enumerate(members))

    with CaptureQueriesContext(connection) as queries:
        browser.get(reverse(LOGS))

    assert len(queries) < 10


def test_one_request_shows_its_attempts_with_their_keys_in_few_queries(browser: Client) -> None:
    one = log(message="<img onerror=alert(1)>")
    one.save()
    for number in range(1, 16):
        key = Key.objects.create(ciphertext="-", digest=str(number), tail=f"t{number:03}")
        Attempt.objects.create(
            request=one, number=number, key=key, model="m", outcome="empty", started_at=NOW, duration_ms=1
        )

    with CaptureQueriesContext(connection) as queries:
        page = browser.get(reverse("admin:proxy_requestlog_change", args=[one.pk])).content.decode()

    assert all(f"…t{number:03}" in page for number in range(1, 16))
    assert "<img onerror" not in page
    assert len(queries) < 10


def test_the_log_is_read_only(browser: Client) -> None:
    one = log()
    one.save()

    assert browser.get(reverse("admin:proxy_requestlog_add")).status_code == 403
    assert browser.post(reverse("admin:proxy_requestlog_change", args=[one.pk]), {"model": "x"}).status_code == 403
    assert browser.post(reverse("admin:proxy_requestlog_delete", args=[one.pk]), {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in browser.get(reverse("admin:proxy_requestlog_change", args=[one.pk])).content.decode()


def test_googles_models_are_read_only(browser: Client) -> None:
    row = UpstreamModel.objects.create(name="gemini-x", description={"a": "<b>"}, seen_at=NOW)

    assert "gemini-x" in browser.get(reverse("admin:proxy_upstreammodel_changelist")).content.decode()
    assert browser.get(reverse("admin:proxy_upstreammodel_change", args=[row.pk])).status_code == 200
    assert browser.get(reverse("admin:proxy_upstreammodel_add")).status_code == 403


def test_a_model_can_be_blocked(browser: Client) -> None:
    browser.post(reverse("admin:proxy_blockedmodel_add"), {"pattern": " gemini-2.5-* ", "note": ""})

    assert BlockedModel.objects.get().pattern == "gemini-2.5-*"
    assert runtime.load().blocked.matches("gemini-2.5-pro")


def test_the_settings_lead_straight_to_their_form(browser: Client) -> None:
    Settings.objects.all().delete()

    answer = browser.get(reverse("admin:proxy_settings_changelist"))

    assert answer.headers["location"] == reverse("admin:proxy_settings_change", args=[1])
    assert browser.get(answer.headers["location"]).status_code == 200


def test_every_setting_has_a_field_that_shows_what_it_inherits(browser: Client) -> None:
    page = browser.get(reverse("admin:proxy_settings_change", args=[1])).content.decode()

    for one in fields(Behaviour):
        assert f'name="{one.name}"' in page
    assert "Empty inherits <b>100</b>. Allowed: 0 or more." in page
    assert settings.BEHAVIOUR.search_prompt in page
    assert "Empty inherits <b>15</b>. Allowed: 1 to 100." in page


def test_empty_fields_inherit_and_saved_ones_win(browser: Client) -> None:
    save_settings(browser, max_attempts="3", fake_streaming="false", heartbeat_seconds="0.5", blocked_models="a, b*")

    behaviour = runtime.load().behaviour
    assert (behaviour.max_attempts, behaviour.fake_streaming, behaviour.heartbeat_seconds) == (3, False, 0.5)
    assert behaviour.blocked_models == ("a", "b*")

    save_settings(browser)

    assert runtime.load().behaviour == settings.BEHAVIOUR


def test_saved_settings_show_again_in_the_form(browser: Client) -> None:
    save_settings(browser, fake_streaming="false", search_mode="true")

    page = browser.get(reverse("admin:proxy_settings_change", args=[1])).content.decode()

    chosen = re.findall(
        r'name="(\w+)"[^>]*>\s*(?:<option value="\w+">[^<]*</option>\s*)*<option value="(\w+)" selected', page
    )
    assert dict(chosen) | {"fake_streaming": "false", "search_mode": "true"} == dict(chosen)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrent_requests", "0"),
        ("max_attempts", "101"),
        ("max_requests_per_minute", "-1"),
        ("api_key_daily_limit", "9" * 30),
        ("api_key_daily_limit", str(2**31)),
        ("heartbeat_seconds", "nan"),
        ("heartbeat_seconds", "0.01"),
        ("upstream_timeout_seconds", "inf"),
        ("random_string_length", "1.5"),
        ("search_prompt", "a\0b"),
        ("blocked_models", "gemini-*, <script>"),
        ("extra_models", " ".join(["gemini"] * 300)),
    ],
)
def test_a_bad_value_is_told_at_its_field_and_not_saved(browser: Client, name: str, value: str) -> None:
    answer = save_settings(browser, **{name: value})

    assert answer.context["adminform"].form.errors.keys() == {name}
    assert runtime.load().behaviour == settings.BEHAVIOUR


def test_every_setting_stands_in_one_group_of_the_form() -> None:
    grouped = [name for _, names in GROUPS for name in names]

    assert sorted(grouped) == sorted(one.name for one in fields(Behaviour))


def test_the_form_says_who_changed_what_from_what_to_what(browser: Client) -> None:
    save_settings(browser, max_attempts="3", search_prompt="<b>look</b>")
    save_settings(browser, max_attempts="7", fake_streaming="false")
    save_settings(browser, max_attempts="7", fake_streaming="false")

    told = [line.get_change_message() for line in LogEntry.objects.order_by("pk")]
    assert told[0] == "MAX_ATTEMPTS: empty → 3; SEARCH_PROMPT: empty → <b>look</b>"
    assert set(told[1].split("; ")) == {
        *("MAX_ATTEMPTS: 3 → 7", "FAKE_STREAMING: empty → no", "SEARCH_PROMPT: <b>look</b> → empty"),
    }
    page = browser.get(reverse("admin:proxy_settings_change", args=[1])).content.decode()
    assert "MAX_ATTEMPTS: 3 → 7" in page
    assert "<b>look</b>" not in page
    history = browser.get(reverse("admin:proxy_settings_history", args=[1])).content.decode()
    assert "MAX_ATTEMPTS: 3 → 7" in history


def drawn(answer: Any) -> dict[str, str]:
    """Return the fields of the form that a page shows."""
    form = answer.context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return settings_form() | {name: str(value) for name, value in values.items() if value is not None}


def open_form(browser: Client) -> dict[str, str]:
    return drawn(browser.get(reverse("admin:proxy_settings_change", args=[1])))


def second_admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("beth"))
    return client


def test_what_two_admins_change_at_one_time_comes_together(browser: Client) -> None:
    mine = open_form(browser)
    save_settings(second_admin(), max_attempts="3")

    answer = save_settings(browser, **mine | {"random_string_length": "8"})

    behaviour = runtime.load().behaviour
    assert (behaviour.max_attempts, behaviour.random_string_length) == (3, 8)
    assert "MAX_ATTEMPTS was changed by beth while you had this form open, and stays so." in answer.content.decode()
    assert LogEntry.objects.order_by("pk").last().get_change_message() == "RANDOM_STRING_LENGTH: empty → 8"  # type: ignore[union-attr]


def test_what_two_admins_change_differently_is_told_and_saved_only_when_it_is_sent_again(browser: Client) -> None:
    mine = open_form(browser) | {"max_attempts": "7", "random_string_length": "8", "fake_streaming": "false"}
    save_settings(second_admin(), max_attempts="3", fake_streaming="false", heartbeat_seconds="2.5")

    answer = save_settings(browser, **mine)

    [*told, last] = answer.context["adminform"].form.non_field_errors()
    assert told == ["MAX_ATTEMPTS was changed by beth while you had this form open: empty → 3."]
    assert last == "Nothing is saved yet. Save again to keep what you typed."
    assert (runtime.load().behaviour.max_attempts, Settings.objects.get().random_string_length) == (3, None)
    again = drawn(answer)
    assert (again["max_attempts"], again["random_string_length"], again["heartbeat_seconds"]) == ("7", "8", "2.5")

    save_settings(browser, **again)

    behaviour = runtime.load().behaviour
    assert (behaviour.max_attempts, behaviour.random_string_length, behaviour.heartbeat_seconds) == (7, 8, 2.5)
    assert behaviour.fake_streaming is False


@pytest.mark.parametrize("carried", ["", "nonsense", "[]", '{"values": 1, "line": 2}', '{"values": {}, "line": "x"}'])
def test_a_form_that_does_not_say_when_it_was_drawn_is_saved_as_it_is(browser: Client, carried: str) -> None:
    save_settings(browser, max_attempts="3")

    save_settings(browser, max_attempts="7", drawn=carried)

    assert runtime.load().behaviour.max_attempts == 7


def test_there_is_one_settings_row_for_ever(browser: Client) -> None:
    assert browser.get(reverse("admin:proxy_settings_add")).status_code == 403
    assert browser.post(reverse("admin:proxy_settings_delete", args=[1]), {"post": "yes"}).status_code == 403


def test_an_admin_probes_chosen_keys(browser: Client, gemini: FakeGemini, settings: Any) -> None:
    settings.GEMINI_BASE_URL = gemini.url
    gemini.keys = {"AIzaSyGood"}
    rows = [
        Key.objects.create(ciphertext=vault.encrypt(secret), digest=secret, tail=secret[-4:], disabled_by=by)
        for secret, by in (("AIzaSyGood", "google"), ("AIzaSyBad1", ""), ("AIzaSyBad2", ""))
    ]

    chosen = {"action": "probe_selected", "_selected_action": [rows[0].pk, rows[1].pk]}
    page = browser.post(reverse("admin:keys_key_changelist"), chosen, follow=True).content.decode()

    assert [row.disabled_by for row in Key.objects.order_by("pk")] == ["", "google", ""]
    assert "1 of 2 keys answer." in page
    assert "AIzaSy" not in page
