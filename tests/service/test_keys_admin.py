"""Keys, members and parks in the admin: what people can do there, and what no page ever shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone

from keys import enrolling, vault
from keys.importing import import_keys
from keys.models import Group, Key, Member, Park, Source, Usage
from tests.unit.test_accounts import account

pytestmark = pytest.mark.django_db

LISTS = [
    *("keys/key", "keys/member", "keys/group", "keys/park", "keys/usage"),
    *("proxy/requestlog", "proxy/blockedmodel", "proxy/upstreammodel"),
]
ONE, TWO = "AIzaSyA-1234567890_abcdefghijklmnopONE1", "AIzaSyB-1234567890_abcdefghijklmnopTWO2"


@pytest.fixture(autouse=True)
def _fresh_pepper(settings: Any) -> Iterator[None]:
    settings.PASSWORD = None
    vault.forget()
    yield
    vault.forget()


@pytest.fixture
def admin_client(client: Client) -> Client:
    """An admin's browser, logged in without a password: hashing one takes long on purpose."""
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True, password="!"))
    return client


def page(response: HttpResponse) -> str:
    assert response.status_code == 200, response
    return response.content.decode()


def rows_of(shown: str) -> list[str]:
    return re.findall(r'<tr class="data-row.*?</tr>', shown, re.S)


def cells(shown: str, field: str) -> list[str]:
    found = re.findall(rf"<td[^>]*\bfield-{field}\b[^>]*>(.*?)</td>", shown, re.S)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in found]


def add_keys(*secrets: str) -> list[Key]:
    import_keys(secrets, Source.ADMIN)
    return [Key.objects.get(digest=vault.digest(secret)) for secret in secrets]


def act(client: Client, model: str, action: str, *ids: int) -> str:
    data = {"action": action, "_selected_action": list(ids)}
    return page(client.post(f"/admin/keys/{model}/", data, follow=True))


def park(key: Key, model: str = "gemini-2.5-pro", minutes: float = 10) -> Park:
    now = timezone.now()
    return Park.objects.create(
        key=key, model=model, reason=Park.Reason.PER_DAY, until=now + timedelta(minutes=minutes), created_at=now
    )


# Keys.


def test_a_key_is_added_by_pasting_it(admin_client: Client) -> None:
    data = {"secret": f" {ONE} ", "label": "Alice's", "kind": "ai_studio", "daily_limit": "50"}

    shown = page(admin_client.post("/admin/keys/key/add/", data, follow=True))

    key = Key.objects.get()
    assert vault.decrypt(key.ciphertext) == ONE
    assert (key.tail, key.label, key.daily_limit, key.source) == (
        "ONE1",
        "Alice's",
        50,
        "admin",
    )
    assert "…ONE1" in shown
    assert ONE not in shown


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        *(("", "required"), ("two words", "Import"), ("ключ", "Import"), (ONE, "already")),
        *(("AIzaSyHalf", "not a whole key"), (TWO[:-1], "not a whole key")),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_in_words(admin_client: Client, secret: str, complaint: str) -> None:
    add_keys(ONE)

    shown = page(admin_client.post("/admin/keys/key/add/", {"secret": secret, "kind": "ai_studio"}))

    assert complaint in shown
    assert Key.objects.count() == 1


@pytest.mark.parametrize(
    "sent", [{"kind": "vertex_service_account"}, {"daily_limit": "2147483648"}, {"daily_limit": str(2**63 - 1)}]
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_kind_and_a_limit_that_cannot_be_are_refused_at_the_field(
    admin_client: Client, sent: dict[str, str], is_new: bool
) -> None:
    address = "add/" if is_new else f"{add_keys(ONE)[0].pk}/change/"
    given = {"secret": ONE, "label": "", "kind": "ai_studio", "daily_limit": ""}

    answer = admin_client.post(f"/admin/keys/key/{address}", given | sent)

    assert answer.context["adminform"].form.errors.keys() == sent.keys()
    assert list(Key.objects.values_list("kind", "daily_limit")) == ([] if is_new else [("ai_studio", None)])


def test_a_pasted_key_does_not_come_back_with_a_form_that_has_errors(admin_client: Client) -> None:
    data = {"secret": ONE, "label": "Alice's", "kind": "ai_studio", "daily_limit": "many"}

    shown = page(admin_client.post("/admin/keys/key/add/", data))

    assert "errorlist" in shown
    assert "Alice&#x27;s" in shown
    assert ONE not in shown
    assert "paste it once more" in shown


@pytest.mark.parametrize("address", ["add", "import"])
def test_half_a_service_account_does_not_come_back_with_its_error(admin_client: Client, address: str) -> None:
    half = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvTheRestIsMissing'

    shown = page(admin_client.post(f"/admin/keys/key/{address}/", {"secret": half, "keys": half, "kind": "ai_studio"}))

    assert "This cannot be used" in shown
    assert "MIIEv" not in shown


def test_a_key_is_no_label_and_does_not_come_back_as_one(admin_client: Client) -> None:
    (key,) = add_keys(ONE)
    chosen = {"_selected_action": [key.pk], "action": "set_label", "apply": "1"}

    for address, sent in ((f"{key.pk}/change/", {"kind": "ai_studio"}), ("", chosen)):
        shown = page(admin_client.post(f"/admin/keys/key/{address}", {"label": f"old {TWO}", **sent}))
        assert "for everybody" in shown
        assert TWO not in shown

    key.refresh_from_db()
    assert key.label == ""


def test_a_key_of_any_form_is_found_by_pasting_it_and_never_shown(admin_client: Client) -> None:
    (key,) = add_keys("sk-odd/form+of:a.key")

    answer = admin_client.get("/admin/keys/key/", {"q": " sk-odd/form+of:a.key "}, follow=True)

    assert answer.redirect_chain == [(f"/admin/keys/key/{key.pk}/change/", 302)]
    assert "sk-odd" not in page(answer)


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("secret", [TWO, TWO[:-3]], ids=["whole", "cut"])
def test_a_key_in_a_search_leaves_the_address_and_the_page(admin_client: Client, address: str, secret: str) -> None:
    answer = admin_client.get(f"/admin/{address}/", {"q": f"of {secret}"}, follow=True)

    assert [status for _, status in answer.redirect_chain] == [302]
    assert secret not in page(answer) + answer.redirect_chain[0][0]


def test_a_keys_page_changes_label_and_limit_and_keeps_the_secret(admin_client: Client) -> None:
    (key,) = add_keys(ONE)
    address = f"/admin/keys/key/{key.pk}/change/"

    shown = page(admin_client.get(address))
    admin_client.post(address, {"label": "new label", "kind": "ai_studio", "daily_limit": ""})

    assert ONE not in shown
    assert key.ciphertext not in shown
    assert 'name="secret"' not in shown
    key.refresh_from_db()
    assert (key.label, key.daily_limit, vault.decrypt(key.ciphertext)) == ("new label", None, ONE)


def test_the_list_shows_tails_and_states_and_filters_by_them(admin_client: Client) -> None:
    one, two, three = add_keys(ONE, TWO, "AIzaSyC-1234567890_abcdefghijklmnopTHR3")
    park(two)
    park(one, minutes=-1)
    Key.objects.filter(pk=three.pk).update(disabled_by="google", disabled_reason="API key expired.")

    shown = page(admin_client.get("/admin/keys/key/"))

    assert all(
        text in shown for text in ("…ONE1", "…TWO2", "…THR3", "ready", "parked until", "disabled: API key expired.")
    )
    for state, tail in (("ready", "…ONE1"), ("parked", "…TWO2"), ("disabled", "…THR3")):
        rows = rows_of(page(admin_client.get(f"/admin/keys/key/?state={state}")))
        assert len(rows) == 1
        assert tail in rows[0]


def test_keys_are_disabled_and_enabled_by_actions(admin_client: Client) -> None:
    one, two = add_keys(ONE, TWO)

    assert "1 key disabled." in act(admin_client, "key", "disable", one.pk)
    assert [key.disabled_by for key in Key.objects.all()] == ["admin", ""]

    assert "1 key enabled." in act(admin_client, "key", "enable", one.pk, two.pk)
    assert [key.disabled_by for key in Key.objects.all()] == ["", ""]


def test_keys_are_imported_from_any_text(admin_client: Client) -> None:
    add_keys(ONE)
    assert "/admin/keys/key/import/" in page(admin_client.get("/admin/keys/key/"))
    assert '<textarea name="keys"' in page(admin_client.get("/admin/keys/key/import/"))

    shown = page(admin_client.post("/admin/keys/key/import/", {"keys": f"{ONE}, {TWO}\n{TWO} not-a-key"}, follow=True))

    assert Key.objects.count() == 2
    assert "1 added, 1 already there (0 of them came back), 1 repeated." in shown
    assert "not-… (9)" in shown
    assert TWO not in shown


def test_a_list_of_keys_as_json_writes_one_is_imported(admin_client: Client) -> None:
    shown = page(admin_client.post("/admin/keys/key/import/", {"keys": f'["{ONE}", "{TWO}"]'}))

    assert "2 added" in shown
    assert "several, use Import" in page(
        admin_client.post("/admin/keys/key/add/", {"secret": f'["{ONE}"]', "kind": "ai_studio"})
    )


def test_an_import_that_is_too_long_is_refused_and_not_shown(admin_client: Client) -> None:
    text = f"{ONE}\n" + "x" * 2_000_000

    shown = page(admin_client.post("/admin/keys/key/import/", {"keys": text}))

    assert "too long for one import" in shown
    assert ONE not in shown
    assert len(shown) < 200_000
    assert not Key.objects.exists()


def test_of_a_long_rubbish_only_the_first_words_are_told(admin_client: Client) -> None:
    shown = page(admin_client.post("/admin/keys/key/import/", {"keys": f"{ONE}\n" + "rubbish\n" * 700}))

    assert "Not a key: 700." in shown
    assert shown.count("not a key; left out") == 500
    assert "200 more lines are not shown." in shown


def test_an_empty_import_is_refused(admin_client: Client) -> None:
    assert "required" in page(admin_client.post("/admin/keys/key/import/", {"keys": "  "}))


def test_who_may_not_add_keys_may_not_import_them(client: Client) -> None:
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_key"))
    client.force_login(reader)

    assert client.get("/admin/keys/key/import/").status_code == 403
    assert client.post("/admin/keys/key/import/", {"keys": ONE}).status_code == 403
    assert "/admin/keys/key/import/" not in page(client.get("/admin/keys/key/"))
    assert not Key.objects.exists()


def test_the_pages_are_for_admins_only(client: Client) -> None:
    for address in ("key/", "key/add/", "key/import/", "member/", "member/add/", "park/", "group/", "usage/"):
        assert client.get(f"/admin/keys/{address}").status_code == 302


# Members.


def test_a_member_without_a_typed_password_gets_one_that_is_shown_once(admin_client: Client) -> None:
    shown = page(
        admin_client.post("/admin/keys/member/add/", {"name": "alice", "password": "", "enabled": "on"}, follow=True)
    )

    match = re.search(r"shown only now: ([\w-]{20,})", shown)
    assert match
    assert Member.objects.get().digest == vault.digest(match[1])
    assert match[1] not in page(admin_client.get("/admin/keys/member/"))


def test_a_typed_password_is_kept_as_a_digest_and_not_shown(admin_client: Client) -> None:
    data = {"name": "alice", "password": "my own password", "enabled": "on", "requests_per_minute": "5"}

    shown = page(admin_client.post("/admin/keys/member/add/", data, follow=True))

    member = Member.objects.get()
    assert (member.digest, member.requests_per_minute) == (vault.digest("my own password"), 5)
    assert "my own password" not in shown


@pytest.mark.parametrize("password", [" spaces ", "密码", "taken", "x" * 201])
def test_a_password_that_cannot_be_used_is_refused_in_words(admin_client: Client, password: str) -> None:
    enrolling.enrol("bob", "taken")

    shown = page(admin_client.post("/admin/keys/member/add/", {"name": "alice", "password": password, "enabled": "on"}))

    assert "errorlist" in shown
    assert Member.objects.count() == 1


def test_a_typed_password_does_not_come_back_with_a_form_that_has_errors(admin_client: Client) -> None:
    data = {"name": "<alice>", "password": "my own password", "note": "a friend", "enabled": "on"}

    shown = page(admin_client.post("/admin/keys/member/add/", data))

    assert "a friend" in shown
    assert "my own password" not in shown
    assert "once more" in shown


def test_changing_a_member_keeps_the_password_unless_a_new_one_is_typed(admin_client: Client) -> None:
    member, _ = enrolling.enrol("alice", "first password")
    address = f"/admin/keys/member/{member.pk}/change/"
    assert "first password" not in page(admin_client.get(address))

    admin_client.post(address, {"name": "alice", "password": "", "note": "a friend", "enabled": "on"})
    member.refresh_from_db()
    assert (member.note, member.digest) == ("a friend", vault.digest("first password"))

    admin_client.post(address, {"name": "alice", "password": "second password", "enabled": "on"})
    member.refresh_from_db()
    assert member.digest == vault.digest("second password")


def test_saving_a_member_with_its_own_password_again_is_fine(admin_client: Client) -> None:
    member, _ = enrolling.enrol("alice", "first password")
    data = {"name": "alice", "password": "first password", "enabled": "on"}

    assert "errorlist" not in page(admin_client.post(f"/admin/keys/member/{member.pk}/change/", data, follow=True))


@override_settings(PASSWORD="first password")
def test_a_password_that_comes_from_the_environment_is_not_changed_here(admin_client: Client) -> None:
    shared = Member(name="shared")
    enrolling.give_password(shared, "first password", Source.ENVIRONMENT)
    wish = {"name": "shared", "password": "another-password-of-mine", "enabled": "on"}

    action = {"action": "rotate_password", "_selected_action": [shared.pk]}
    told = [
        page(admin_client.post("/admin/keys/member/", action, follow=True)),
        page(admin_client.post(f"/admin/keys/member/{shared.pk}/change/", wish)),
    ]

    assert all("the variable PASSWORD" in one for one in told)
    assert Member.objects.get().digest == vault.digest("first password")


def test_new_passwords_are_shown_once_on_a_page_that_is_not_stored(admin_client: Client) -> None:
    alice, _ = enrolling.enrol("alice", "first password")

    response = admin_client.post("/admin/keys/member/", {"action": "rotate_password", "_selected_action": [alice.pk]})

    match = re.search(r"<code>(.+?)</code>", page(response))
    assert match
    assert "no-store" in response["Cache-Control"]
    assert Member.objects.get().digest == vault.digest(match[1])


def test_members_are_disabled_and_enabled_by_actions(admin_client: Client) -> None:
    alice, _ = enrolling.enrol("alice")

    assert "1 member disabled." in act(admin_client, "member", "disable", alice.pk)
    assert not Member.objects.get().enabled
    assert "1 member enabled." in act(admin_client, "member", "enable", alice.pk)
    assert Member.objects.get().enabled


def test_the_first_member_made_in_the_admin_ends_the_default_password(admin_client: Client) -> None:
    Member.objects.create(name="shared", source=Source.ENVIRONMENT, digest=vault.digest("123"))

    admin_client.post("/admin/keys/member/add/", {"name": "alice", "password": "", "enabled": "on"})

    assert not Member.objects.filter(digest=vault.digest("123")).exists()
    assert "has no password" in page(admin_client.get("/admin/keys/member/"))


def test_groups_show_how_many_members_they_have(admin_client: Client) -> None:
    group = Group.objects.create(name="friends", requests_per_day=100)
    enrolling.enrol("alice", group=group)

    shown = page(admin_client.get("/admin/keys/group/"))

    assert "friends" in shown
    assert cells(shown, "member_count") == ["1"]


# Parks and usage.


def test_a_park_is_listed_and_may_only_be_deleted(admin_client: Client) -> None:
    (key,) = add_keys(ONE)
    row = park(key)
    assert "gemini-2.5-pro" in page(admin_client.get("/admin/keys/park/"))
    assert admin_client.get("/admin/keys/park/add/").status_code == 403

    act(admin_client, "park", "delete_selected", row.pk)
    data = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post("/admin/keys/park/", data)

    assert not Park.objects.exists()


def test_usage_is_read_only_and_names_its_members_and_keys(admin_client: Client) -> None:
    (key,) = add_keys(ONE)
    alice, _ = enrolling.enrol("alice")
    for kind, subject in (
        ("member", str(alice.pk)),
        ("key", str(key.pk)),
        ("address", "198.51.100.7"),
        ("member", "999"),
    ):
        Usage.objects.create(kind=kind, subject=subject, day=date(2026, 8, 21), model="gemini-2.5-pro", requests=3)

    shown = page(admin_client.get("/admin/keys/usage/"))

    assert sorted(cells(shown, "who")) == sorted(["alice", "…ONE1", "198.51.100.7", "999"])
    row = Usage.objects.all()[0]
    assert admin_client.get("/admin/keys/usage/add/").status_code == 403
    assert admin_client.post(f"/admin/keys/usage/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"/admin/keys/usage/{row.pk}/change/", {"requests": 0}).status_code == 403


# Commands.


def test_import_keys_reads_a_file_and_can_run_twice(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"{ONE}\n{TWO}\n")

    for expected in ("2 added, 0 already there", "0 added, 2 already there"):
        out = StringIO()
        call_command("import_keys", str(file), stdout=out)
        assert expected in out.getvalue()

    assert Key.objects.count() == 2


def test_import_keys_reads_service_accounts_as_the_form_does(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps([account("one"), account("two")]))
    call_command("import_keys", str(file), stdout=StringIO())
    assert sorted(Key.objects.values_list("label", "kind")) == [
        ("one", "vertex_service_account"),
        ("two", "vertex_service_account"),
    ]

    file.write_text('{"type": "service_account"}')
    with pytest.raises(CommandError, match="lacks project_id"):
        call_command("import_keys", str(file))


def test_import_keys_fails_when_there_is_no_key_and_does_not_tell_every_word(tmp_path: Path) -> None:
    file = tmp_path / "novel.txt"
    file.write_text("rubbish\n" * 300)
    told = StringIO()

    with pytest.raises(CommandError, match="no key"):
        call_command("import_keys", str(file), stderr=told)

    assert len(told.getvalue().splitlines()) == 51
    assert "250 more are not keys" in told.getvalue()


def test_import_keys_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nothing"):
        call_command("import_keys", str(tmp_path / "nothing.txt"))


def test_create_member_prints_a_password_that_works() -> None:
    out = StringIO()

    call_command("create_member", "alice", "--group", "friends", "--requests-per-day", "20", stdout=out)

    match = re.search(r"shown only now: (\S+)", out.getvalue())
    assert match
    member = Member.objects.get()
    assert (member.digest, member.requests_per_day) == (vault.digest(match[1]), 20)
    assert member.group == Group.objects.get(name="friends")


def test_create_member_takes_a_password_and_refuses_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBER_PASSWORD", "given password")
    out = StringIO()
    call_command("create_member", "alice", stdout=out)
    assert "given password" not in out.getvalue()

    with pytest.raises(CommandError, match="already"):
        call_command("create_member", "alice")
    with pytest.raises(CommandError, match="Another member"):
        call_command("create_member", "bob")
    with pytest.raises(CommandError, match="0 or more"):
        call_command("create_member", "bob", "--tokens-per-day", "-1")
