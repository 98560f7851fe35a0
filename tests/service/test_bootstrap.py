"""What the environment brings at each start, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from keys import enrolling, switching, vault
from keys.bootstrap import Bootstrapped, bootstrap
from keys.importing import import_keys
from keys.models import Key, Member, Secret, Source

pytestmark = pytest.mark.django_db

ONE, TWO = "AIzaSyA-1234567890_abcdefghijklmnopqrst", "AIzaSyB-1234567890_abcdefghijklmnopqrst"

Start = Callable[..., Bootstrapped]


@pytest.fixture(autouse=True)
def _fresh_pepper() -> Iterator[None]:
    vault.forget()
    yield
    vault.forget()


@pytest.fixture
def start(settings: Any) -> Start:
    """Start with this environment; the admin account is not what most tests are about."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    def run(
        keys: Sequence[str] = (), password: str | None = None, admin: str = "admin", secret: str = ""
    ) -> Bootstrapped:
        settings.PASSWORD = password
        return bootstrap(keys=keys, password=password, admin_username=admin, admin_password=secret)

    return run


def opens(password: str) -> str | None:
    """Return the name of the enabled member that a password opens for."""
    return Member.objects.filter(digest=vault.digest(password), enabled=True).values_list("name", flat=True).first()


def states() -> dict[str, str]:
    return {key.tail: key.disabled_by for key in Key.objects.all()}


# Keys.


def test_it_adds_the_environments_keys_encrypted_and_marked(start: Start) -> None:
    notes = start([ONE, TWO, ONE]).notes

    key = Key.objects.get(digest=vault.digest(ONE))
    assert Key.objects.count() == 2
    assert vault.decrypt(key.ciphertext) == ONE
    assert (key.tail, key.source, key.is_enabled) == ("qrst", Source.ENVIRONMENT, True)
    assert "GEMINI_API_KEYS: 2 added." in notes
    assert not any(ONE in note for note in notes)


def test_it_can_run_again_and_changes_nothing(start: Start) -> None:
    start([ONE], "a long password")
    before = list(Key.objects.values()), list(Member.objects.values()), list(User.objects.values("id", "password"))

    assert start([ONE], "a long password") == Bootstrapped((), "admin", None)

    assert before == (
        list(Key.objects.values()),
        list(Member.objects.values()),
        list(User.objects.values("id", "password")),
    )


def test_a_key_that_leaves_the_environment_is_disabled_and_comes_back_with_it(start: Start) -> None:
    start(["key-one-aaa1", "key-two-bbb2"])

    start(["key-one-aaa1"])
    assert states() == {"aaa1": "", "bbb2": "environment"}

    start(["key-one-aaa1", "key-two-bbb2"])
    assert states() == {"aaa1": "", "bbb2": ""}


def test_a_key_disabled_by_an_admin_or_by_google_does_not_come_back_with_the_environment(start: Start) -> None:
    start(["key-one-aaa1", "key-two-bbb2"])
    switching.disable(Key.objects.get(tail="aaa1"))
    Key.objects.filter(tail="bbb2").update(disabled_by="google", disabled_reason="API key expired.")

    start([])
    start(["key-one-aaa1", "key-two-bbb2"])

    assert states() == {"aaa1": "admin", "bbb2": "google"}


def test_a_key_of_an_admins_stays_when_it_is_not_in_the_environment(start: Start) -> None:
    import_keys(["key-one-aaa1"], Source.ADMIN)
    start(["key-one-aaa1", "key-two-bbb2"])
    # An admin makes the second one theirs.
    import_keys(["key-two-bbb2"], Source.ADMIN)

    start([])

    assert states() == {"aaa1": "", "bbb2": ""}


def test_a_key_that_left_the_environment_and_was_enabled_by_an_admin_stays(start: Start) -> None:
    start(["key-one-aaa1"])
    start([])
    assert switching.enable(Key.objects.get())

    start([])

    assert states() == {"aaa1": ""}


def test_what_cannot_be_a_key_is_left_out_and_told(start: Start) -> None:
    notes = start(["ключ", ONE]).notes

    assert Key.objects.count() == 1
    assert "GEMINI_API_KEYS: 1 of 2 cannot be keys and are left out." in notes


# PASSWORD.


def test_the_shared_member_follows_the_variable(start: Start) -> None:
    start(password="first password")
    member = Member.objects.get()
    assert (member.name, member.source, opens("first password")) == ("shared", Source.ENVIRONMENT, "shared")

    start(password="second password")

    assert Member.objects.get().pk == member.pk
    assert (opens("first password"), opens("second password")) == (None, "shared")


def test_disabled_by_an_admin_it_stays_disabled(start: Start) -> None:
    start(password="first password")
    Member.objects.update(enabled=False)

    start(password="first password")
    start(password="second password")

    assert opens("second password") is None


def test_renamed_by_an_admin_it_still_follows(start: Start) -> None:
    start(password="first password")
    Member.objects.update(name="everybody")

    start(password="second password")

    assert opens("second password") == "everybody"
    assert Member.objects.count() == 1


def test_without_a_password_123_opens_and_is_warned_of_at_every_start(start: Start) -> None:
    for _ in range(2):
        assert any("123" in note and note.startswith("WARNING") for note in start().notes)

    assert opens("123") == "shared"


def test_123_ends_at_once_with_the_first_member_of_an_admins_own_and_does_not_come_back(start: Start) -> None:
    start()
    alice, _ = enrolling.enrol("alice", "alice's password")
    assert opens("123") is None

    assert start().notes == ()
    alice.delete()
    assert start().notes == ()

    assert opens("123") is None


def test_an_admins_own_member_may_take_123_over(start: Start) -> None:
    start()

    enrolling.enrol("alice", "123")

    assert opens("123") == "alice"
    start()
    assert opens("123") == "alice"


def test_123_set_on_purpose_works_beside_other_members_but_is_warned_of(start: Start) -> None:
    enrolling.enrol("alice", "alice's password")

    notes = start(password="123").notes

    assert opens("123") == "shared"
    assert any(note.startswith("WARNING: PASSWORD is 123") for note in notes)
    assert any("easy to guess" in note for note in start(password="1234").notes)


def test_setting_the_variable_later_reopens_the_shared_member(start: Start) -> None:
    start()
    enrolling.enrol("alice", "alice's password")

    start(password="a long password")

    assert opens("a long password") == "shared"


def test_unsetting_the_variable_closes_the_shared_member_when_there_are_others(start: Start) -> None:
    start(password="a long password")
    enrolling.enrol("alice", "alice's password")

    start()

    assert (opens("a long password"), opens("123")) == (None, None)


def test_another_members_password_is_a_note_not_a_crash(start: Start) -> None:
    start(password="first password")
    enrolling.enrol("alice", "alice's password")

    notes = start(password="alice's password").notes

    assert any("another member's password" in note for note in notes)
    assert opens("alice's password") == "alice"
    assert opens("first password") is None
    start(password="third password")
    assert opens("third password") == "shared"


def test_a_password_that_the_environment_gives_is_changed_there_alone(start: Start) -> None:
    start(password="first password")

    with override_settings(PASSWORD="first password"), pytest.raises(enrolling.SetByEnvironment):
        enrolling.give_password(Member.objects.get(), "chosen by an admin")

    assert opens("first password") == "shared"


def test_a_password_that_an_admin_gave_the_shared_member_makes_it_theirs(start: Start) -> None:
    start()
    enrolling.give_password(Member.objects.get(), "chosen by an admin")

    start()

    assert (opens("chosen by an admin"), opens("123")) == ("shared", None)


# The admin account.


def test_the_first_start_makes_an_admin_and_tells_the_password_once(start: Start) -> None:
    first = start()

    assert first.admin_password is not None
    user = User.objects.get(username="admin")
    assert user.is_superuser
    assert user.is_staff
    assert user.check_password(first.admin_password)
    assert first.admin_password not in repr(first)
    assert start().admin_password is None


def test_a_given_password_is_used_and_not_told(start: Start) -> None:
    first = start(admin="root", secret="given password")

    assert first.admin_password is None
    assert User.objects.get(username="root").check_password("given password")
    assert not any("given password" in note for note in first.notes)


def test_a_password_changed_in_the_admin_survives_restarts_with_the_same_variable(start: Start) -> None:
    start(secret="given password")
    user = User.objects.get()
    user.set_password("changed")
    user.save()

    start(secret="given password")

    assert User.objects.get().check_password("changed")


def test_a_new_value_of_the_variable_lets_people_back_in(start: Start) -> None:
    start()
    User.objects.update(is_active=False, is_superuser=False)

    start(secret="new password")

    user = User.objects.get()
    assert user.check_password("new password")
    assert user.is_active
    assert user.is_superuser


def test_no_second_account_is_made_while_a_superuser_is_there(start: Start) -> None:
    User.objects.create_superuser("boss", password="x")

    assert start().admin_password is None

    assert User.objects.count() == 1


# SECRET_KEY.


def test_a_new_secret_key_with_the_old_one_as_fallback_re_encrypts_everything(start: Start, settings: Any) -> None:
    settings.SECRET_KEY = "earlier"
    start([ONE], "a long password", secret="given password")
    vault.forget()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "newer", ["earlier"]
    start([ONE], "a long password", secret="given password")
    vault.forget()

    settings.SECRET_KEY_FALLBACKS = []

    assert start([ONE], "a long password", secret="given password").notes == ()
    assert vault.decrypt(Key.objects.get().ciphertext) == ONE


def test_a_lost_secret_key_stops_the_start_and_changes_nothing(start: Start, settings: Any) -> None:
    settings.SECRET_KEY = "earlier"
    start([ONE], "a long password")
    before = list(Secret.objects.values()), list(Key.objects.values())
    vault.forget()
    settings.SECRET_KEY = "newer"

    with pytest.raises(vault.Undecryptable, match="SECRET_KEY_FALLBACKS"):
        start([ONE], "a long password")

    assert before == (list(Secret.objects.values()), list(Key.objects.values()))
