"""The pages of members and groups: what they tell, what is refused at the field, and that no password stays."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import enrolling, vault
from keys.models import Group, Member, ModelLimit, Usage
from proxy import request_id
from proxy.admin.member_pages import free_names
from proxy.models import RequestLog
from tests.databases import BACKENDS, database, in_thread

LIST, ADD, BULK = "/admin/keys/member/", "/admin/keys/member/add/", "/admin/keys/member/bulk/"
GOOD = "annas good password"


@pytest.fixture(autouse=True, params=BACKENDS)
def data(request: Any, tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.PASSWORD = None
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        vault.forget()
        yield
        vault.forget()


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True, password="!"))
    return client


def page(response: Any) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode())


def anna(**fields: Any) -> Member:
    return enrolling.enrol("Anna", GOOD, **fields)[0]


def change(member: Member) -> str:
    return f"/admin/keys/member/{member.pk}/change/"


def form_of(response: Any) -> dict[str, Any]:
    """Return the fields as a browser would send them back."""
    form = response.context["adminform"].form
    fields = {name: form[name].value() for name in form.fields if name != "expires_at"}
    for formset in (one.formset for one in response.context["inline_admin_formsets"]):
        for part in (formset.management_form, *formset.initial_forms):
            fields |= {part.add_prefix(name): part[name].value() for name in part.fields}
    return {name: "unknown" if value is None and "string" in name else value or "" for name, value in fields.items()}


def limit_rows(*rows: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"model_limits-TOTAL_FORMS": len(rows), "model_limits-INITIAL_FORMS": 0}
    for number, row in enumerate(rows):
        fields |= {f"model_limits-{number}-{name}": value for name, value in row.items()}
    return fields


def use(member: Member, model: str, requests: int, tokens: int = 0) -> None:
    Usage.objects.create(
        kind="member",
        subject=str(member.pk),
        day=timezone.localdate(),
        model=model,
        requests=requests,
        prompt_tokens=tokens,
    )


def test_a_made_password_is_shown_once_with_all_that_is_needed_to_connect(browser: Client) -> None:
    answer = browser.post(ADD, {"name": "Änne & Co", "enabled": "on"})

    shown = page(answer)
    password = re.search(r"<code>(.+?)</code>", shown)[1]  # type: ignore[index]
    assert Member.objects.get().digest == vault.digest(password)
    assert "no-store" in answer["Cache-Control"]
    assert f"http://testserver/me#{password}" in shown
    settings_of_sillytavern = html.unescape(re.search(r'<pre[^>]*id="sillytavern">(.+?)</pre>', shown, re.S)[1])  # type: ignore[index]
    assert settings_of_sillytavern.splitlines() == [
        "API: Chat Completion",
        "Chat Completion Source: Custom (OpenAI-compatible)",
        "Custom Endpoint (Base URL): http://testserver/v1",
        f"Custom API Key: {password}",
    ]
    later = [page(browser.get(path)) for path in (LIST, change(Member.objects.get()), "/admin/")]
    assert not any(password in text for text in later)
    assert not any(password in str(entry.change_message) for entry in LogEntry.objects.all())
    assert password not in str(browser.cookies)


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("short", "at least 8 characters"),
        ("password123", "too common"),
        ("1029384756", "entirely numeric"),
        ("aaaaabbbbb", "too few different characters"),
        ("Annabella", "the member's name"),
        ("пароль пароль", "printable ASCII"),
        (" annas password", "without spaces at its ends"),
        ("bens good password", "Another member has this password"),
    ],
)
def test_a_password_that_will_not_do_is_told_at_its_field(browser: Client, password: str, complaint: str) -> None:
    enrolling.enrol("Ben", "bens good password")

    answer = browser.post(ADD, {"name": "annabella", "password": password, "enabled": "on"})

    assert complaint in " ".join(answer.context["adminform"].form.errors["password"])
    assert [member.name for member in Member.objects.all()] == ["Ben"]


@pytest.mark.parametrize("taken", ["password", "name"])
def test_what_another_admin_takes_in_the_last_moment_is_told_at_the_field(
    browser: Client, request: Any, taken: str
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("one admin's form waits for the other's")

    other = ("Anna", "some other password") if taken == "name" else ("Beth", GOOD)
    waiting = [other]

    def be_faster(**_: Any) -> None:
        if waiting:
            asyncio.run(in_thread(partial(enrolling.enrol, *waiting.pop())))

    pre_save.connect(be_faster, sender=Member)
    request.addfinalizer(lambda: pre_save.disconnect(be_faster, sender=Member))
    answer = browser.post(ADD, {"name": "Anna", "password": GOOD, **limit_rows()})

    assert answer.context["adminform"].form.errors.keys() == {taken}
    assert [member.name for member in Member.objects.all()] == [other[0]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "two\nlines"),
        ("name", "x" * 81),
        ("requests_per_minute", "-1"),
        ("requests_per_minute", "1000001"),
        ("requests_per_day", "99999999999999999999999"),
        ("requests_per_day", "ten"),
        ("tokens_per_day", "1e5"),
        ("parallel_requests", "2147483648"),
        ("allowed_models", "gemini-*, <b>"),
        ("blocked_models", " ".join(["gemini"] * 201)),
        ("expires_at", "someday"),
        ("expires_at", "2020-01-01"),
    ],
)
def test_bad_input_is_told_at_its_field_escaped_and_nothing_is_saved(browser: Client, field: str, value: str) -> None:
    given = {"name": "Anna", "enabled": "on", "expires_at_1": "12:00:00", field: value, f"{field}_0": value}
    if field != "expires_at":
        del given["expires_at_1"]

    answer = browser.post(ADD, given)

    assert answer.context["adminform"].form.errors.keys() == {field}
    assert "<script>alert" not in page(answer)
    assert not Member.objects.exists()


def test_limits_for_models_are_kept_with_the_member_or_not_at_all(browser: Client) -> None:
    good = {"pattern": "gemini-2.5-pro*", "requests_per_day": "20"}
    for bad in (
        {"pattern": "two words", "requests_per_day": "1"},
        {"pattern": "gemini-*", "tokens_per_day": "-1"},
        {"pattern": "gemini-*"},
        good,
    ):
        answer = browser.post(ADD, {"name": "Anna", "enabled": "on", **limit_rows(good, bad)})
        assert "error" in page(answer), bad
        assert not Member.objects.exists()
        assert not ModelLimit.objects.exists()

    page(browser.post(ADD, {"name": "Anna", "enabled": "on", **limit_rows(good)}))

    row = ModelLimit.objects.get()
    assert (row.member.name, row.group, row.pattern, row.requests_per_day) == ("Anna", None, "gemini-2.5-pro*", 20)  # type: ignore[union-attr]


def test_each_limit_says_what_an_empty_field_inherits(browser: Client, settings: Any) -> None:
    group = Group.objects.create(name="friends", requests_per_day=77, fake_streaming=False, blocked_models="<i>")

    shown = page(browser.get(change(anna(group=group))))

    assert "Empty inherits the group's: 77." in shown
    assert "Empty inherits the group's: no." in shown
    assert "Empty inherits the group's: &lt;i&gt;." in shown
    assert f"Empty inherits everybody's: {settings.BEHAVIOUR.max_requests_per_minute}." in shown


def test_the_history_tells_what_was_changed_from_what_to_what_and_no_password(browser: Client) -> None:
    member = anna(requests_per_day=5)
    form = form_of(browser.get(change(member)))

    form |= {"requests_per_day": "9", "fake_streaming": "false", "password": "annas second password"}
    form |= limit_rows({"pattern": "gemma-*", "requests_per_day": "3"})
    assert browser.post(change(member), form).status_code == 302

    told = LogEntry.objects.get().get_change_message()
    assert "equests per day: 5 → 9" in told
    assert "ake streaming: empty → no" in told
    assert "Password" in told
    assert "gemma-*: made" in told
    assert "annas" not in told
    member.refresh_from_db()
    assert member.digest == vault.digest("annas second password")


def test_what_actions_do_stands_in_the_history(browser: Client) -> None:
    member = anna()
    for action in ("disable", "enable", "rotate_password"):
        page(browser.post(LIST, {"action": action, "_selected_action": [member.pk]}, follow=True))

    told = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(told) == ["Disabled.", "Enabled.", "New password."]
    assert "New password." in page(browser.get(f"/admin/keys/member/{member.pk}/history/"))


def test_twenty_members_at_once_make_a_list_to_print(browser: Client) -> None:
    Group.objects.create(name="friends")
    enrolling.enrol("friend-03", GOOD)
    assert "friend" in page(browser.get(BULK)) or page(browser.get(BULK))

    given = {"count": "20", "names": "friend-", "group": Group.objects.get().pk, "note": "summer"}
    given |= {"expires_at_0": "2030-01-31", "expires_at_1": "12:00:00"}
    shown = page(browser.post(BULK, given))

    rows = re.findall(r"<tr><td>(friend-\d\d)</td><td[^>]*><code>(.+?)</code></td>", shown)
    assert [name for name, _ in rows] == [f"friend-{number:02}" for number in range(1, 22) if number != 3]
    members = {member.name: member for member in Member.objects.exclude(digest=vault.digest(GOOD))}
    assert {name: vault.digest(password) for name, password in rows} == {
        name: member.digest for name, member in members.items()
    }
    assert {(member.group.name, member.note) for member in members.values() if member.group} == {("friends", "summer")}
    assert {member.expires_at for member in members.values()} == {timezone.make_aware(datetime(2030, 1, 31, 12))}
    assert LogEntry.objects.count() == 20
    assert not any(password in page(browser.get(LIST)) for _, password in rows)


def test_an_end_that_was_reached_does_not_keep_the_rest_from_being_saved(browser: Client) -> None:
    member = anna(expires_at=timezone.make_aware(datetime(2020, 1, 31, 12)))
    same = {"expires_at_0": "2020-01-31", "expires_at_1": "12:00:00"}
    given = form_of(browser.get(change(member))) | limit_rows() | same | {"note": "was here in 2019"}

    saved = browser.post(change(member), given)
    moved = browser.post(change(member), given | {"expires_at_0": "2020-02-01"})

    member.refresh_from_db()
    assert saved.status_code == 302
    assert member.note == "was here in 2019"
    assert member.expires_at == timezone.make_aware(datetime(2020, 1, 31, 12))
    assert "This moment has passed." in moved.context["adminform"].form.errors["expires_at"][0]


def test_many_members_are_not_made_with_an_end_in_the_past(browser: Client) -> None:
    given = {"count": "3", "names": "friend-", "expires_at_0": "2020-01-31", "expires_at_1": "12:00:00"}

    answer = browser.post(BULK, given)

    assert answer.context["form"].errors.keys() == {"expires_at"}
    assert not Member.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", "0"), ("count", "501"), ("count", "many"), ("names", "<b>"), ("names", ""), ("group", "99")],
)
def test_many_members_are_refused_at_the_field_and_none_is_made(browser: Client, field: str, value: str) -> None:
    answer = browser.post(BULK, {"count": "3", "names": "friend-", field: value})

    assert answer.context["form"].errors.keys() == {field}
    assert not Member.objects.exists()


def test_who_may_not_add_members_may_not_add_many() -> None:
    reader = User.objects.create(username="reader", is_staff=True, password="!")
    reader.user_permissions.add(Permission.objects.get(codename="view_member"))
    client = Client()
    client.force_login(reader)

    assert client.post(BULK, {"count": "3", "names": "friend-"}).status_code == 403
    assert BULK not in page(client.get(LIST))
    assert not Member.objects.exists()


def test_names_go_on_where_they_are_taken() -> None:
    for number in (1, 2, 4):
        Member.objects.create(name=f"m{number:02}", digest=str(number))

    assert free_names("m", 3) == ["m03", "m05", "m06"]
    assert free_names("other", 2) == ["other01", "other02"]
    assert free_names("x", 120)[0] == "x001"


def test_the_list_shows_today_against_the_limits_in_force(browser: Client) -> None:
    group = Group.objects.create(name="friends", requests_per_day=40, tokens_per_day=5000)
    member = anna(group=group, parallel_requests=3)
    use(member, "gemini-2.5-pro", 12, 1500)
    use(member, "gemini-2.5-flash", 8, 500)
    enrolling.enrol("Ben", "bens good password", expires_at=timezone.now() - timedelta(days=1))

    shown = page(browser.get(LIST))

    assert 'max="40" value="20"' in shown
    assert 'max="5000" value="2000"' in shown
    for text in ("20 / 40", "2,000 / 5,000", "expired"):
        assert text in shown
    assert "Ben" not in page(browser.get(LIST, {"state": "enabled"}))
    assert "Anna" not in page(browser.get(LIST, {"state": "expired"}))


def test_the_list_asks_the_database_no_more_for_many_members_than_for_few(browser: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(browser.get(LIST))
        return len(captured)

    enrolling.enrol("first", GOOD)
    few = queries()
    for number in range(40):
        member, _ = enrolling.enrol(f"m{number}", group=Group.objects.create(name=str(number)))
        use(member, "gemini-2.5-pro", 1)

    assert queries() == few


def test_a_member_s_page_shows_use_by_model_and_the_latest_requests(browser: Client) -> None:
    member = anna()
    ModelLimit.objects.create(member=member, pattern="gemini-2.5-*", requests_per_day=30)
    use(member, "gemini-2.5-pro", 12, 1500)
    use(member, "gemini-3-pro", 1, 1)
    now = datetime.now(UTC)
    log = RequestLog.objects.create(
        id=request_id.new(now.timestamp()),
        started_at=now,
        member=member,
        model="gemini-2.5-pro",
        stream=False,
        outcome="refused",
        status=429,
        duration_ms=7,
        message="<i>no</i>",
    )

    shown = page(browser.get(change(member)))

    assert "12 / 30" in shown
    assert request_id.shown(log.pk) in shown
    assert "&lt;i&gt;no&lt;/i&gt;" in shown
    address = re.search(r'href="(/admin/proxy/requestlog/\?member[^"]+)"', shown)
    assert address
    assert request_id.shown(log.pk) in page(browser.get(address[1]))
    assert request_id.shown(log.pk) not in page(browser.get(address[1] + "9"))


def test_a_group_carries_limits_for_models_too(browser: Client) -> None:
    given = {"name": "friends", "requests_per_day": "9", "blocked_models": "gemma-*"}

    page(
        browser.post(
            "/admin/keys/group/add/", given | limit_rows({"pattern": "g*", "tokens_per_day": "5"}), follow=True
        )
    )

    row = ModelLimit.objects.get()
    assert (row.group.name, row.member, row.tokens_per_day) == ("friends", None, 5)  # type: ignore[union-attr]
    answer = browser.post("/admin/keys/group/add/", {"name": "<b>"})
    assert answer.context["adminform"].form.errors.keys() == {"name"}
