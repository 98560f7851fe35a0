"""The pages of keys: what they tell, what admins do there, and that no key stands in any of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import vault
from keys.importing import import_keys
from keys.models import Key, Park, Source, Usage
from proxy import request_id, runtime
from proxy.desk.key_facts import google_day
from proxy.models import Attempt, RequestLog
from tests.databases import BACKENDS, database
from tests.gemini import FakeGemini

SECRETS = [f"AIzaSyA-1234567890_abcdefghijklmnop{number:04}" for number in range(60)]
ONE, TWO, THREE = SECRETS[:3]
PASSWORD = "the admin's own"
LIST, IMPORT, PROBE = "/admin/keys/key/", "/admin/keys/key/import/", "/admin/keys/key/probe/"


@pytest.fixture(autouse=True, params=BACKENDS)
def data(request: Any, tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        vault.forget()
        yield
        vault.forget()


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password=PASSWORD))
    return client


def page(response: Any) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode())


def add(*secrets: str) -> list[Key]:
    import_keys(secrets, Source.ADMIN)
    return [Key.objects.get(digest=vault.digest(secret)) for secret in secrets]


def act(browser: Client, action: str, *keys: Key, **fields: Any) -> Any:
    return browser.post(LIST, {"action": action, "_selected_action": [key.pk for key in keys], **fields}, follow=True)


def attempt(key: Key, outcome: str, message: str = "", *, ago: float = 1) -> None:
    at = timezone.now() - timedelta(minutes=ago)
    log = RequestLog.objects.create(
        id=request_id.new(at.timestamp()),
        started_at=at,
        dialect="openai",
        model="gemini-2.5-pro",
        stream=False,
        outcome=outcome,
        status=200,
        duration_ms=5,
    )
    Attempt.objects.create(
        request=log,
        number=1,
        key=key,
        model="gemini-2.5-pro",
        outcome=outcome,
        message=message,
        started_at=at,
        duration_ms=5,
    )


def park(key: Key, model: str = "") -> Park:
    now = timezone.now()
    return Park.objects.create(
        key=key, model=model, reason="per_day", until=now + timedelta(hours=3), created_at=now, quota_id="PerDay"
    )


def row_of(shown: str, key: Key) -> str:
    [row] = [one for one in re.findall(r'<tr class="data-row.*?</tr>', shown, re.S) if f"…{key.tail}" in one]
    return re.sub(r"\s+", " ", row)


# The list.


def test_the_list_tells_use_success_and_the_last_error(browser: Client) -> None:
    one, two, _ = add(ONE, TWO, THREE)
    Key.objects.filter(pk=one.pk).update(daily_limit=40)
    for model in ("gemini-2.5-pro", "gemini-2.5-flash"):
        Usage.objects.create(kind="key", subject=str(one.pk), day=google_day(timezone.now()), model=model, requests=5)
    for ago, outcome in enumerate(["answered", "rate_limited", "unavailable", "answered", "lost_race"], start=1):
        attempt(one, outcome, f"sentence of {outcome}", ago=ago)
    attempt(two, "answered")

    shown = page(browser.get(LIST))

    row = row_of(shown, one)
    assert "10 / 40" in row
    assert "50 %" in row
    assert "sentence of rate_limited" in row
    assert "sentence of unavailable" not in row
    assert "100 %" in row_of(shown, two)
    assert not any(secret in shown for secret in SECRETS)


def test_the_limit_for_all_keys_is_not_one_of_a_vertex_credential(browser: Client, settings: Any) -> None:
    studio, vertex = add(ONE, TWO)
    Key.objects.filter(pk=vertex.pk).update(kind=Key.Kind.VERTEX_SERVICE_ACCOUNT)
    limit = settings.BEHAVIOUR.api_key_daily_limit
    for one in (studio, vertex):
        day = google_day(timezone.now())
        Usage.objects.create(kind="key", subject=str(one.pk), day=day, model="gemini-2.5-pro", requests=limit)

    shown = page(browser.get(LIST, {"state": "exhausted"}))

    assert f"{limit} / {limit}" in row_of(shown, studio)
    assert f"…{vertex.tail}" not in shown
    assert f"{limit} / {limit}" not in row_of(page(browser.get(LIST)), vertex)


@pytest.mark.parametrize("state", ["ready", "parked", "exhausted", "disabled", "undecryptable"])
def test_the_list_filters_by_every_state(browser: Client, state: str) -> None:
    keys = dict(zip(["ready", "parked", "exhausted", "disabled", "undecryptable"], add(*SECRETS[:5]), strict=True))
    park(keys["parked"], "gemini-2.5-pro")
    Key.objects.filter(pk=keys["exhausted"].pk).update(daily_limit=1)
    today = google_day(timezone.now())
    Usage.objects.create(kind="key", subject=str(keys["exhausted"].pk), day=today, model="m", requests=1)
    Key.objects.filter(pk=keys["disabled"].pk).update(disabled_by="admin", disabled_reason="not paid")
    Key.objects.filter(pk=keys["undecryptable"].pk).update(ciphertext="of another SECRET_KEY")

    shown = page(browser.get(LIST, {"state": state}))

    assert len(re.findall('<tr class="data-row', shown)) == 1
    word = {"parked": "parked for some models", "disabled": "disabled: not paid"}.get(state, state)
    assert word in row_of(shown, keys[state])


def test_a_park_of_the_whole_key_says_until_when_and_counts_down(browser: Client) -> None:
    (one,) = add(ONE)
    park(one)

    row = row_of(page(browser.get(LIST)), one)

    assert "parked until" in row
    assert re.search(r'<time class="desk-countdown" datetime="[^"]+">2:59:\d\d</time>', row)


def test_a_full_page_takes_few_queries(browser: Client) -> None:
    keys = add(*SECRETS)
    for key in keys:
        attempt(key, "unavailable", "failed")
        park(key, "gemini-2.5-pro")

    with CaptureQueriesContext(connection) as queries:
        shown = page(browser.get(LIST))

    assert len(re.findall('<tr class="data-row', shown)) == 50
    assert len(queries) < 16


@pytest.mark.parametrize("term", [ONE[-4:], "…" + ONE[-4:], "Alice"])
def test_a_key_is_found_by_its_tail_or_label(browser: Client, term: str) -> None:
    one, two = add(ONE, TWO)
    Key.objects.filter(pk=one.pk).update(label="Alice's")

    shown = page(browser.get(LIST, {"q": term}))

    assert f"…{one.tail}" in shown
    assert f"…{two.tail}" not in shown


def test_a_whole_key_that_is_pasted_into_the_search_leads_to_its_page(browser: Client) -> None:
    one, _ = add(ONE, TWO)

    answer = browser.get(LIST, {"q": f" {ONE} "})
    unknown = browser.get(LIST, {"q": THREE}, follow=True)

    assert answer.headers["location"] == f"/admin/keys/key/{one.pk}/change/"
    assert f"…{THREE[-4:]}, is not here." in page(unknown)
    assert THREE not in page(unknown)
    assert THREE not in unknown.redirect_chain[-1][0]


# A key's page.


def test_a_keys_page_shows_its_days_models_and_attempts(browser: Client) -> None:
    (one,) = add(ONE)
    today = google_day(timezone.now())
    for days, requests in ((0, 7), (13, 3), (14, 100)):
        Usage.objects.create(
            kind="key",
            subject=str(one.pk),
            day=today - timedelta(days=days),
            model="gemini-2.5-pro",
            requests=requests,
            prompt_tokens=10,
        )
    attempt(one, "rate_limited", "<b>Resource exhausted</b>")
    park(one, "gemini-2.5-flash")

    shown = page(browser.get(f"/admin/keys/key/{one.pk}/change/"))

    assert "[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]" in shown.replace("&quot;", '"')
    assert re.search(r"gemini-2.5-pro</td><td>10</td><td>20</td>", shown)
    assert "gemini-2.5-flash" in shown
    assert "&lt;b&gt;Resource exhausted&lt;/b&gt;" in shown
    assert request_id.shown(RequestLog.objects.get().pk) in shown


# What admins do.


def secret_of(number: int) -> str:
    return f"AIzaSyLongImport------------------{number:05}"


def test_an_import_tells_line_by_line_what_brought_no_key(browser: Client) -> None:
    add(THREE)
    text = f"{ONE}\n{TWO}, {ONE}\n{THREE}\nhalf: {TWO[:-5]}\n\n# nothing\n{TWO}"

    shown = page(browser.post(IMPORT, {"keys": text}))

    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr><td>(\d.*?)</tr>", shown)]
    assert [tuple(filter(None, row.split("|"))) for row in rows] == [
        ("2", f"…{ONE[-4:]}", "stands already in line 1"),
        ("3", f"…{THREE[-4:]}", "was already there"),
        ("4", "AIza… (34)", "not a key; left out"),
        ("4", "… (4)", "not a key; left out"),
        ("6", "… (7)", "not a key; left out"),
        ("7", f"…{TWO[-4:]}", "stands already in line 2"),
    ]
    assert "2 added, 1 already there (0 of them came back), 2 repeated. Not a key: 3." in shown
    assert not any(secret in shown or secret[:-5] in shown for secret in (ONE, TWO, THREE))
    assert len(runtime.load().keys) == 3


def test_a_long_import_in_steps_ends_with_the_report_of_a_short_one(browser: Client) -> None:
    import_keys([secret_of(0)], Source.ADMIN)
    secrets = [secret_of(number) for number in range(450)]
    text = "\n".join([*secrets, secrets[1], "not-a-key"])
    starts, ids, start, total = [], [], 0, 1
    while start < total:
        told = browser.post(IMPORT, {"keys": text, "start": start}).json()
        start, total = told["next"], told["total"]
        starts.append(start)
        ids += told["ids"]

    assert (starts, total) == ([200, 400, 450], 450)
    assert Key.objects.count() == 450
    told = page(browser.post(IMPORT, {"keys": text, "imported": ",".join(map(str, ids)), "revived": "0"}))
    assert "449 added, 1 already there (0 of them came back), 1 repeated. Not a key: 1." in told
    assert told.count("was already there") == 1
    assert Key.objects.count() == 450
    assert LogEntry.objects.filter(change_message="Imported.").count() == 449


@pytest.mark.parametrize("sent", [{"start": "-3"}, {"start": "x"}, {"start": "9" * 40}, {"imported": "a,,1,-2"}])
def test_a_step_that_no_script_of_ours_sends_breaks_nothing(browser: Client, sent: dict[str, str]) -> None:
    assert browser.post(IMPORT, {"keys": secret_of(1), **sent}).status_code == 200
    assert browser.post(IMPORT, {"keys": "", **sent}).status_code in {200, 400}


def test_many_keys_are_imported_at_once_and_the_runtime_hears_of_it_once(browser: Client) -> None:
    before = runtime.load().revision

    page(browser.post(IMPORT, {"keys": "\n".join(SECRETS)}))

    assert runtime.load().revision == before + 1
    assert Key.objects.count() == len(SECRETS)


def test_clearing_parks_frees_the_keys_at_once(browser: Client) -> None:
    one, two = add(ONE, TWO)
    for key in (one, two):
        park(key)
        park(key, "gemini-2.5-pro")

    shown = page(act(browser, "clear_parks", one))

    assert "1 key rests no more." in shown
    assert {row.key_id for row in runtime.load().parks} == {two.pk}
    assert runtime.load().revision > 0


@pytest.mark.parametrize(
    ("action", "field", "value", "stored"),
    [
        ("set_limit", "daily_limit", "25", 25),
        ("set_limit", "daily_limit", "0", 0),
        ("set_limit", "daily_limit", "", None),
        ("set_label", "label", "spare <i>", "spare <i>"),
    ],
)
def test_limit_and_label_are_asked_for_and_set_on_all_chosen(
    browser: Client, action: str, field: str, value: str, stored: Any
) -> None:
    one, two, three = add(ONE, TWO, THREE)
    Key.objects.update(daily_limit=7)
    before = runtime.load().revision

    asked = page(act(browser, action, one, two))
    shown = page(act(browser, action, one, two, apply="1", **{field: value}))

    assert f'name="{field}"' in asked
    assert "2 keys will get this." in asked
    assert "2 keys changed." in shown
    assert [getattr(key, field) for key in Key.objects.order_by("pk")][:2] == [stored, stored]
    assert Key.objects.get(pk=three.pk).daily_limit == 7
    assert runtime.load().revision == before + 1


@pytest.mark.parametrize("value", ["-1", "9999999999", "many"])
def test_an_absurd_limit_is_told_at_its_field_and_nothing_is_saved(browser: Client, value: str) -> None:
    (one,) = add(ONE)

    shown = page(act(browser, "set_limit", one, apply="1", daily_limit=value))

    assert "errors" in shown
    assert Key.objects.get().daily_limit is None


def test_a_list_is_exported_without_any_key_and_without_formulas(browser: Client) -> None:
    one, two = add(ONE, TWO)
    Key.objects.filter(pk=one.pk).update(label="=HYPERLINK(1)")

    answer = act(browser, "export_masked", one, two)

    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["key"] for row in rows] == [f"…{ONE[-4:]}", f"…{TWO[-4:]}"]
    assert rows[0]["label"] == "'=HYPERLINK(1)"
    assert rows[0]["state"] == "ready"
    assert "AIza" not in answer.content.decode()


def test_who_changed_which_key_stands_in_the_history_and_no_secret_does(browser: Client) -> None:
    (one,) = add(ONE)
    act(browser, "disable", one)
    act(browser, "enable", one)
    browser.post(IMPORT, {"keys": TWO})

    shown = page(browser.get(f"/admin/keys/key/{one.pk}/history/"))

    assert "Disabled." in shown
    assert "Enabled." in shown
    assert LogEntry.objects.count() == 3
    assert not any("AIza" in f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())


# Revealing.


def test_a_key_is_revealed_to_who_types_the_own_password_and_it_is_noted(browser: Client) -> None:
    one, _ = add(ONE, TWO)
    address = f"/admin/keys/key/{one.pk}/reveal/"

    asked = page(browser.get(address))
    answer = browser.post(address, {"password": PASSWORD})

    assert ONE not in asked
    assert ONE in page(answer)
    assert "no-store" in answer.headers["cache-control"]
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(one.pk), "Revealed the key.")
    assert ONE not in page(browser.get(f"/admin/keys/key/{one.pk}/history/"))


def test_a_wrong_password_reveals_nothing_and_is_noted(browser: Client) -> None:
    (one,) = add(ONE)

    shown = page(browser.post(f"/admin/keys/key/{one.pk}/reveal/", {"password": "a guess"}))

    assert "This is not your password." in shown
    assert ONE not in shown
    assert LogEntry.objects.get().change_message == "Tried to reveal the key with a wrong password."


def test_a_key_of_another_secret_key_cannot_be_revealed(browser: Client) -> None:
    (one,) = add(ONE)
    Key.objects.update(ciphertext="of another SECRET_KEY")

    assert "SECRET_KEY" in page(browser.post(f"/admin/keys/key/{one.pk}/reveal/", {"password": PASSWORD}))


def test_a_reader_may_not_reveal(client: Client) -> None:
    from django.contrib.auth.models import Permission

    reader = User.objects.create_user("reader", password=PASSWORD, is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_key"))
    client.force_login(reader)
    (one,) = add(ONE)

    assert client.post(f"/admin/keys/key/{one.pk}/reveal/", {"password": PASSWORD}).status_code == 403
    assert client.post(PROBE, {"ids": str(one.pk), "step": "1"}).status_code == 403


# Probing.


def test_many_keys_are_probed_step_by_step(browser: Client, gemini: FakeGemini, settings: Any) -> None:
    settings.GEMINI_BASE_URL = gemini.url
    keys = add(*SECRETS[:20])
    gemini.keys = set(SECRETS[1:20])

    shown = page(act(browser, "probe_selected", *keys))
    ids = re.search(r'data-ids="([\d,]+)"', shown)
    assert ids
    chosen = ids[1].split(",")
    answers = [browser.post(PROBE, {"ids": ",".join(chosen[start : start + 8]), "step": "1"}) for start in (0, 8, 16)]

    told = [probe for answer in answers for probe in answer.json()["probes"]]
    assert len(chosen) == len(told) == 20
    assert [probe["tail"] for probe in told if not probe["good"]] == [ONE[-4:]]
    assert Key.objects.get(disabled_by="google").pk == keys[0].pk
    assert not any("AIza" in answer.content.decode() for answer in answers)
    assert not gemini.generated


@pytest.mark.parametrize("ids", ["", "1,x", "99999999"])
def test_a_probe_of_nothing_or_rubbish_breaks_nothing(browser: Client, ids: str) -> None:
    assert browser.post(PROBE, {"ids": ids, "step": "1"}).status_code in {200, 400}


# The command line.


def told(command: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(command, *arguments, "--json", stdout=out, stderr=io.StringIO())
    assert "AIza" not in out.getvalue()
    return json.loads(out.getvalue())


def test_keys_are_imported_probed_and_listed_from_the_command_line(
    browser: Client, tmp_path: Path, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_BASE_URL = gemini.url
    gemini.keys = {ONE}
    file = tmp_path / "keys.txt"
    file.write_text(f"{ONE}\n{TWO} {ONE}\nrubbish-word\n")

    assert told("import_keys", str(file)) == {
        "added": 2,
        "already_there": 0,
        "came_back": 0,
        "repeated": [{"line": 2, "key": f"…{ONE[-4:]}", "first_line": 1}],
        "not_keys": [{"line": 3, "word": "rubb… (12)"}],
    }
    park(Key.objects.get(digest=vault.digest(ONE)), "gemini-2.5-pro")
    probed = told("probe_keys")
    assert [(one["key"], one["good"]) for one in probed["keys"]] == [(f"…{ONE[-4:]}", True), (f"…{TWO[-4:]}", False)]
    assert (probed["brought_back"], probed["disabled"]) == (0, 1)
    listed = told("list_keys")["keys"]
    assert [one["state"] for one in listed] == ["parked", "disabled"]
    assert listed[0]["parks"][0]["model"] == "gemini-2.5-pro"
    assert listed[0]["daily_limit"] == settings.BEHAVIOUR.api_key_daily_limit
