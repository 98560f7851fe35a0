"""Members from the command line: made, limited, given new passwords, and what they have used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import override_settings
from django.utils import timezone

from keys import enrolling, vault
from keys.models import Group, Member, ModelLimit, Source, Usage
from tests.commands import run, run_json

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_pepper(settings: Any) -> Iterator[None]:
    settings.PASSWORD = None
    vault.forget()
    yield
    vault.forget()


def test_a_member_is_made_with_all_its_limits_and_told_as_json() -> None:
    told = run_json(
        *("create_member", "Anna", "--group", "friends", "--note", "a friend", "--expires-at", "2030-01-31"),
        *("--requests-per-minute", 5, "--requests-per-day", 100, "--tokens-per-day", 0, "--parallel-requests", 2),
        *("--allowed-models", "gemini-2.5-*, gemma-3", "--fake-streaming", "no", "--random-string", "inherit"),
    )

    member = Member.objects.get()
    assert vault.digest(told["password"]) == member.digest
    assert (told["name"], told["group"], told["note"], told["enabled"]) == ("Anna", "friends", "a friend", True)
    assert told["expires_at"].startswith("2030-01-3")
    assert timezone.localtime(member.expires_at).isoformat()[:16] == "2030-01-31T00:00"
    assert told["limits"] == {
        "requests_per_minute": 5,
        "requests_per_day": 100,
        "tokens_per_day": 0,
        "parallel_requests": 2,
        "allowed_models": ["gemini-2.5-*", "gemma-3"],
        "blocked_models": None,
        "fake_streaming": False,
        "random_string": None,
        "models": {},
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("<b>Anna</b>",), "name: A name has no < or >"),
        (("Anna", "--requests-per-day", "10000000000000"), "requests_per_day: .*1000000000"),
        (("Anna", "--requests-per-day", "many"), "--requests-per-day: a limit is a whole number"),
        (("Anna", "--parallel-requests", "-3"), "0 or more"),
        (("Anna", "--allowed-models", "gemini;drop table(x)"), "allowed_models: This is no model name"),
        (("Anna", "--expires-at", "tomorrow"), "tomorrow is no day or time"),
        (("Anna", "--expires-at", "2020-01-31"), "--expires-at: 2020-01-31 has passed"),
        (("Anna", "--group", "<i>"), "name: A name has no < or >"),
        (("Anna", "--fake-streaming", "perhaps"), "invalid choice"),
    ],
)
def test_bad_input_is_told_in_words_and_nothing_is_saved(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        run("create_member", *words)

    assert not Member.objects.exists()
    assert not Group.objects.exists()


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("short", "8 characters"),
        ("password123", "too common"),
        ("8274619305", "numeric"),
        ("abababababab", "too few different"),
        ("Annabella", "member's name"),
        ("пароль-пароль", "printable ASCII"),
    ],
)
def test_a_weak_password_is_refused(monkeypatch: pytest.MonkeyPatch, password: str, complaint: str) -> None:
    monkeypatch.setenv("MEMBER_PASSWORD", password)
    enrolling.enrol("Ben", "bens good password")

    with pytest.raises(CommandError, match=complaint):
        run("create_member", "annabella")
    Member.objects.update(name="annabella")
    with pytest.raises(CommandError, match=complaint):
        run("rotate_password", "annabella")

    assert Member.objects.get().digest == vault.digest("bens good password")


def test_a_new_password_is_printed_once_and_ends_the_earlier_one() -> None:
    enrolling.enrol("Anna", "annas first password")

    told = run_json("rotate_password", "Anna")
    sentence = run("rotate_password", "Anna")

    assert vault.digest(told["password"]) != Member.objects.get().digest
    assert vault.digest(sentence.split()[-1]) == Member.objects.get().digest
    with pytest.raises(CommandError, match="no member named Ben"):
        run("rotate_password", "Ben")


@override_settings(PASSWORD="first password")
def test_a_password_that_comes_from_the_environment_is_changed_there() -> None:
    enrolling.give_password(Member(name="shared"), "first password", Source.ENVIRONMENT)

    with pytest.raises(CommandError, match="the variable PASSWORD"):
        run("rotate_password", "shared")

    assert Member.objects.get().digest == vault.digest("first password")


def test_a_chosen_new_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    enrolling.enrol("Anna", "annas first password")
    monkeypatch.setenv("MEMBER_PASSWORD", "annas second password")

    assert run_json("rotate_password", "Anna")["password"] is None
    assert "second" not in run("rotate_password", "Anna")
    assert Member.objects.get().digest == vault.digest("annas second password")


def test_limits_are_set_and_taken_back() -> None:
    enrolling.enrol("Anna", "annas first password", requests_per_minute=3)

    told = run_json("set_limit", "Anna", "--requests-per-day", 50, "--blocked-models", "gemma-*")
    assert (told["limits"]["requests_per_day"], told["limits"]["requests_per_minute"]) == (50, 3)
    assert told["limits"]["blocked_models"] == ["gemma-*"]

    told = run_json("set_limit", "Anna", "--requests-per-day", "inherit", "--blocked-models", "inherit")
    assert (told["limits"]["requests_per_day"], told["limits"]["blocked_models"]) == (None, None)
    assert "requests_per_minute 3" in run("set_limit", "Anna", "--random-string", "yes")


def test_limits_for_models_and_of_groups_are_set_and_taken_back() -> None:
    Group.objects.create(name="friends")

    told = run_json("set_limit", "friends", "--group", "--model", "gemini-2.5-pro*", "--requests-per-day", 20)
    assert told["limits"]["models"] == {
        "gemini-2.5-pro*": {"requests_per_minute": None, "requests_per_day": 20, "tokens_per_day": None}
    }
    assert "requests_per_day 20 for gemini-2.5-pro*" in run("set_limit", "friends", "--group", "--tokens-per-day", 9)

    run("set_limit", "friends", "--group", "--model", "gemini-2.5-pro*", "--requests-per-day", "inherit")
    assert not ModelLimit.objects.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("Ben", "--requests-per-day", "5"), "no member named Ben"),
        (("Anna", "--group", "--requests-per-day", "5"), "no group named Anna"),
        (("Anna",), "Name a limit"),
        (("Anna", "--requests-per-minute", "99999999"), "requests_per_minute: .*1000000"),
        (("Anna", "--model", "a b", "--requests-per-day", "5"), "pattern: A model name"),
        (("Anna", "--model", "gemini-*", "--parallel-requests", "5"), "not with parallel_requests"),
    ],
)
def test_limits_that_cannot_be_are_refused_in_words(words: tuple[str, ...], complaint: str) -> None:
    enrolling.enrol("Anna", "annas first password")

    with pytest.raises(CommandError, match=complaint):
        run("set_limit", *words)

    assert not ModelLimit.objects.exists()


def test_usage_is_told_by_member_and_model() -> None:
    anna, _ = enrolling.enrol("Anna", "annas first password")
    ben, _ = enrolling.enrol("Ben", "bens first password")
    today = timezone.localdate()
    for member, model, requests in ((anna, "gemini-2.5-pro", 2), (anna, "gemini-3-pro", 3), (ben, "gemini-3-pro", 1)):
        Usage.objects.create(
            kind="member", subject=str(member.pk), day=today, model=model, requests=requests, prompt_tokens=10
        )
    Usage.objects.create(kind="member", subject=str(anna.pk), day=today - timedelta(days=1), model="old", requests=40)

    told = run_json("usage")
    assert [(one["name"], one["requests"], one["prompt_tokens"]) for one in told["members"]] == [
        ("Anna", 5, 20),
        ("Ben", 1, 10),
    ]
    assert [one["model"] for one in told["members"][0]["models"]] == ["gemini-2.5-pro", "gemini-3-pro"]
    assert [one["requests"] for one in run_json("usage", "Anna", "--days", 2)["members"]] == [45]
    assert "Ben: 1 requests, 10 + 0 tokens" in run("usage", "Ben")
    assert "Nobody has used anything." in run("usage", "--day", "2001-01-01")
    with pytest.raises(CommandError, match="yesterday is no day"):
        run("usage", "--day", "yesterday")
