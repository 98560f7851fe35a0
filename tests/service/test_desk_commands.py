"""The admin's desk from the command line: the same changes as the pages make, each with its line in the history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.utils import timezone

from keys import vault
from keys.importing import import_keys
from keys.models import Key, Member, Park, Source
from proxy import revision
from proxy.models import BlockedModel, RequestLog, Settings, UpstreamModel
from proxy.runtime import current_behaviour
from tests.commands import run, run_json

pytestmark = pytest.mark.django_db

ONE, TWO = (f"AIzaSyA-1234567890_abcdefghijklmnop{end}" for end in ("x7Qk", "y8Rl"))


@pytest.fixture(autouse=True)
def _desk(settings: Any) -> Iterator[None]:
    settings.PASSWORD, settings.GEMINI_API_KEYS = "of-everybody", ()
    vault.forget()
    User.objects.create_superuser("admin", password="the admin's own")
    import_keys([ONE, TWO], Source.ADMIN)
    yield
    vault.forget()


def history() -> list[tuple[str, str, str]]:
    """Return who did what to which row, as the admin's pages show it."""
    lines = LogEntry.objects.select_related("user").order_by("pk")
    return [(line.user.get_username(), line.object_repr, line.get_change_message()) for line in lines]


def key(secret: str) -> Key:
    return Key.objects.get(digest=vault.digest(secret))


# Keys.


@pytest.mark.django_db(transaction=True)
def test_a_key_is_disabled_and_enabled_by_its_tail_or_number() -> None:
    before = revision.number()
    off = run_json("keys", "disable", "…x7Qk", key(TWO).pk, "x7Qk")
    told_the_runtime = revision.number() > before
    again = run_json("keys", "disable", "x7Qk")
    on = run("keys", "enable", key(ONE).pk)

    assert [(one["key"], one["state"]) for one in off["changed"]] == [("…x7Qk", "disabled"), ("…y8Rl", "disabled")]
    assert again == {"changed": [], "unchanged": 1}
    assert "1 of 1 keys enabled: AI Studio key …x7Qk." in on
    assert (key(ONE).disabled_by, key(TWO).disabled_by) == ("", "admin")
    assert [(who, what) for who, _row, what in history()] == [("admin", "Disabled.")] * 2 + [("admin", "Enabled.")]
    assert told_the_runtime


def test_parks_are_cleared() -> None:
    now = timezone.now()
    Park.objects.create(key=key(ONE), reason="per_day", until=now + timedelta(hours=3), created_at=now)

    told = run_json("keys", "clear-parks", "x7Qk", "y8Rl")

    assert [one["key"] for one in told["changed"]] == ["…x7Qk"]
    assert not Park.objects.exists()
    assert [what for _who, _row, what in history()] == ["Parks cleared."]


def test_labels_and_limits_are_set_and_taken_away() -> None:
    run("keys", "label", "x7Qk", "y8Rl", "--to", "Anna's")
    run("keys", "limit", "x7Qk", "--to", 200)
    told = run_json("keys", "limit", "y8Rl", "--to", 0)
    run("keys", "limit", "y8Rl", "--to", "inherit")

    assert (key(ONE).label, key(TWO).label) == ("Anna's", "Anna's")
    assert (key(ONE).daily_limit, key(TWO).daily_limit) == (200, None)
    assert told["changed"][0]["daily_limit"] is None
    assert [what for _who, _row, what in history()][2:] == ["Daily limit: 200.", "Daily limit: 0.", "Daily limit: –."]


def test_a_deleted_key_is_gone_and_stands_in_the_history() -> None:
    told = run_json("keys", "delete", "x7Qk")

    assert [one["key"] for one in told["changed"]] == ["…x7Qk"]
    assert list(Key.objects.all()) == [key(TWO)]
    assert LogEntry.objects.get().is_deletion()


def test_a_key_of_the_environment_is_not_deleted(settings: Any) -> None:
    settings.GEMINI_API_KEYS = (ONE,)

    with pytest.raises(CommandError, match="GEMINI_API_KEYS and would be back at the next start"):
        run("keys", "delete", "x7Qk", "y8Rl")

    assert Key.objects.count() == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("disable", "nope"), "There is no key that ends in …nope."),
        (("disable", "0"), "There is no key number 0."),
        (("disable", ONE[:-1]), "There is no key that ends in …px7Q.$"),
        (("limit", "x7Qk", "--to", "many"), "daily_limit: "),
        (("limit", "x7Qk", "--to", "-1"), "daily_limit: "),
        (("label", "x7Qk", "--to", ONE), "label: A label is for everybody's eyes"),
        (("enable", "x7Qk", "--by", "nobody"), "There is no admin named nobody."),
    ],
)
def test_what_makes_no_sense_changes_nothing_and_is_told(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as told:
        run("keys", *words)

    assert ONE[:30] not in str(told.value)
    assert not LogEntry.objects.exists()


def test_two_keys_with_one_end_are_told_apart_by_number() -> None:
    import_keys([ONE[:10] + "Z" + ONE[11:]], Source.ADMIN)

    with pytest.raises(CommandError, match=rf"by its number: {key(ONE).pk}, \d+"):
        run("keys", "disable", "x7Qk")


def test_a_command_that_comes_before_the_first_admin_works_without_a_line_in_the_history() -> None:
    User.objects.all().delete()

    run("keys", "disable", "x7Qk")
    run("settings", "set", "MAX_ATTEMPTS=3")

    assert key(ONE).disabled_by == "admin"
    assert current_behaviour().max_attempts == 3
    assert not history()


# Members.


def test_members_are_listed_switched_and_deleted() -> None:
    run("create_member", "anna", "--group", "friends")
    run("create_member", "bob")
    off = run_json("members", "disable", "anna")
    listed = run("members", "list")
    run("members", "enable", "anna")
    gone = run_json("members", "delete", "bob")

    assert [(one["name"], one["enabled"]) for one in off["changed"]] == [("anna", False)]
    assert listed.splitlines() == ["anna: disabled, group friends", "bob: enabled"]
    assert [one["name"] for one in gone["changed"]] == ["bob"]
    assert list(Member.objects.values_list("name", "enabled")) == [("anna", True)]
    assert [row for _who, row, _what in history()] == ["anna", "anna", "bob"]


def test_the_member_of_password_is_not_deleted() -> None:
    Member.objects.create(name="shared", source=Source.ENVIRONMENT, digest=vault.digest("of-everybody"))

    with pytest.raises(CommandError, match="while PASSWORD is set"):
        run("members", "delete", "shared")


def test_a_member_that_is_not_there_leaves_the_others_as_they_are() -> None:
    run("create_member", "anna")

    with pytest.raises(CommandError, match="There is no member named nobody"):
        run("members", "disable", "anna", "nobody")

    assert Member.objects.get().enabled


# Settings.


def test_settings_are_set_shown_and_given_back() -> None:
    told = run_json("settings", "set", "fake_streaming=no", "MAX_ATTEMPTS=3", "BLOCKED_MODELS=gemini-1*,gemma-*")
    behaviour = current_behaviour()
    run("settings", "set", "MAX_ATTEMPTS=inherit")

    assert told["settings"]["MAX_ATTEMPTS"] == {"value": 3, "inherited": 15, "is_set_here": True}
    assert (behaviour.fake_streaming, behaviour.max_attempts) == (False, 3)
    assert behaviour.blocked_models == ("gemini-1*", "gemma-*")
    assert run("settings", "show", "FAKE_STREAMING", "MAX_ATTEMPTS").splitlines() == [
        "FAKE_STREAMING=no (without it: yes)",
        "MAX_ATTEMPTS=15",
    ]
    assert history()[0][2].startswith("FAKE_STREAMING: empty → no; ")
    assert history()[1][2] == "MAX_ATTEMPTS: 3 → empty"


def test_all_settings_are_shown() -> None:
    assert set(run_json("settings", "show")["settings"]) == {
        field.name.upper() for field in Settings._meta.fields if field.editable and not field.primary_key
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("NO_SUCH=1", "There is no setting named NO_SUCH"),
        ("MAX_ATTEMPTS", "Write NAME=VALUE"),
        ("MAX_ATTEMPTS=0", "MAX_ATTEMPTS: "),
        ("FAKE_STREAMING=maybe", "FAKE_STREAMING: yes, no or inherit"),
        ("KEY_ORDER=backwards", "KEY_ORDER: "),
    ],
)
def test_a_setting_that_makes_no_sense_saves_none(change: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("settings", "set", "RANDOM_STRING=no", change)

    assert current_behaviour().random_string
    assert not history()


# Models.


def test_models_are_blocked_and_unblocked() -> None:
    UpstreamModel.objects.create(name="gemini-2.5-pro", seen_at=timezone.now())
    first = run_json("models", "block", "gemini-2.5-*", "gemma-3")
    again = run_json("models", "block", "gemma-3")
    listed = run_json("models", "list")
    run("models", "unblock", "gemini-2.5-*")

    assert first == {"changed": ["gemini-2.5-*", "gemma-3"], "unchanged": 0}
    assert again == {"changed": [], "unchanged": 1}
    assert listed["models"] == [{"name": "gemini-2.5-pro", "blocked": True}]
    assert list(BlockedModel.objects.values_list("pattern", flat=True)) == ["gemma-3"]
    assert [what for _who, _row, what in history()][:2] == ["Blocked.", "Blocked."]


@pytest.mark.parametrize(
    ("verb", "name", "sentence"),
    [("block", "a, b", "One name or glob"), ("unblock", "gemma-3", "gemma-3 is not blocked by that name")],
)
def test_a_name_that_makes_no_sense_is_told(verb: str, name: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("models", verb, name)


# Logs.


def test_pruned_logs_are_counted_as_json() -> None:
    at = timezone.now() - timedelta(days=90)
    RequestLog.objects.create(
        id=1, started_at=at, dialect="openai", model="m", stream=False, outcome="answered", status=200, duration_ms=1
    )

    assert run_json("prune_logs", "--days", 30) == {"days": 30, "logs": 1, "usage": 0, "parks": 0, "signatures": 0}
