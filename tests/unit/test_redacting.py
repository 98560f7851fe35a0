"""Whatever this process knows to be secret stands in no text that it writes."""

from __future__ import annotations

import pytest

from hajimi_site import environment
from keys.redacting import Redactor

ODD_KEY = "sk-odd-0123456789"


def nobody(word: str) -> bool:
    return False


@pytest.fixture
def redact() -> Redactor:
    return Redactor()


def test_a_known_key_of_any_form_is_masked(redact: Redactor) -> None:
    redact.know([ODD_KEY, "AIzaSyFakeKeyOfTheSimulator-----------A"], nobody)

    assert redact(f"Google said {ODD_KEY!r} is bad.") == "Google said '***' is bad."
    assert redact("AIzaSyFakeKeyOfTheSimulator-----------A") == "***"


def test_of_two_keys_that_begin_alike_the_longer_is_masked_whole(redact: Redactor) -> None:
    redact.know([ODD_KEY, f"{ODD_KEY}-tail"], nobody)

    assert redact(f"{ODD_KEY}-tail") == "***"


def test_keys_that_have_gone_are_forgotten(redact: Redactor) -> None:
    redact.know([ODD_KEY], nobody)
    redact.know([], nobody)

    assert redact(ODD_KEY) == ODD_KEY


@pytest.mark.parametrize(
    "around",
    ["%s", "'%s'", "GET /v1/%s/models", "password=%s,", "Unknown: %s (twice %s)", "It was %s.", "so:%s|x", "%s!"],
)
def test_a_member_s_password_is_masked_wherever_it_stands(redact: Redactor, around: str) -> None:
    redact.know([], lambda word: word == "swordfish-1")

    text = redact(around.replace("%s", "swordfish-1"))

    assert "swordfish" not in text
    assert "***" in text


@pytest.mark.parametrize("around", ["%s", "'%s'", "It was %s.", "(%s)"])
def test_a_password_with_punctuation_in_it_is_masked_too(redact: Redactor, around: str) -> None:
    redact.know([], lambda word: word == "pa;ss,wo:rd.=77")

    assert redact(around.replace("%s", "pa;ss,wo:rd.=77")) == around.replace("%s", "***")


def test_a_password_with_a_colon_is_masked_inside_an_address(redact: Redactor) -> None:
    redact.know([], lambda word: word == "swordfish:1")

    assert redact("GET /v1/swordfish:1/models") == "GET /v1/***/models"


def test_what_the_environment_says_is_known() -> None:
    secrets = environment.secrets_in(
        {
            "GEMINI_API_KEYS": "first-key-1,second-key-2",
            "GEMINI_API_KEYS_7": "third-key-3",
            "PASSWORD": '"my own password"',
            "WEB_PASSWORD": "old-admin-password",
            "SECRET_KEY_FALLBACKS": "older-key oldest-key",
            "DATABASE_URL": "postgres://hajimi:p%40ss-word@db/hajimi",
            "REDIS_URL": "redis://:redis-word@cache/0",
            "HOST": "example",
        }
    )

    assert {"first-key-1", "second-key-2", "third-key-3", "my own password", "old-admin-password"} < set(secrets)
    assert {"older-key", "oldest-key", "p@ss-word", "redis-word"} < set(secrets)
    assert "example" not in secrets


@pytest.mark.parametrize("slipped", ["my own password", "AIzaSyFakeKeyOfTheSimulator-----------A", "my own password?"])
def test_a_secret_that_has_slipped_into_another_variable_is_not_quoted(slipped: str) -> None:
    with pytest.raises(environment.BadEnvironment, match="PORT is set to a value that cannot be used") as refused:
        environment.read({"PASSWORD": "my own password", "PORT": slipped})

    assert slipped not in str(refused.value)


def test_words_are_left_alone_and_short_passwords_do_not_blot_the_log(redact: Redactor) -> None:
    redact.keep(["123", "a-longer-password"])

    assert redact("served 123 requests in 123 ms") == "served 123 requests in 123 ms"
    assert redact("a-longer-password") == "***"


def test_what_is_said_often_is_masked_once_a_member_has_that_password(redact: Redactor) -> None:
    assert redact.often("/v1/swordfish-1") == "/v1/swordfish-1"

    redact.know([], lambda word: word == "swordfish-1")

    assert redact.often("/v1/swordfish-1") == "/v1/***"


def test_what_is_said_often_is_masked_once_the_environment_names_a_secret(redact: Redactor) -> None:
    assert redact.often(f"/v1/{ODD_KEY}") == f"/v1/{ODD_KEY}"

    redact.keep([ODD_KEY])

    assert redact.often(f"/v1/{ODD_KEY}") == "/v1/***"
