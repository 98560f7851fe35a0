"""Secrets at rest: encrypted, digested, masked; what cannot be read is an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import vault
from keys.models import Key, Secret

SECRET = "AIzaSyA-1234567890_abcdefghijklmnopqrst"


@pytest.fixture(autouse=True)
def _fresh_pepper() -> Iterator[None]:
    vault.forget()
    yield
    vault.forget()


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_what_was_encrypted_can_be_decrypted(text: str) -> None:
    assert vault.decrypt(vault.encrypt(text)) == text


def test_a_ciphertext_shows_nothing_and_is_another_every_time() -> None:
    assert SECRET not in vault.encrypt(SECRET)
    assert vault.encrypt(SECRET) != vault.encrypt(SECRET)


@pytest.mark.parametrize("ciphertext", ["", "rubbish", "gAAAAA", SECRET, "密文"])
def test_what_is_no_ciphertext_of_ours_is_an_error(ciphertext: str) -> None:
    with pytest.raises(vault.Undecryptable):
        vault.decrypt(ciphertext)


def test_another_secret_key_reads_nothing_unless_the_earlier_one_is_a_fallback() -> None:
    with override_settings(SECRET_KEY="earlier", SECRET_KEY_FALLBACKS=[]):
        ciphertext = vault.encrypt(SECRET)

    with (
        override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[]),
        pytest.raises(vault.Undecryptable, match="SECRET_KEY"),
    ):
        vault.decrypt(ciphertext)
    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=["oldest", "earlier"]):
        assert vault.decrypt(ciphertext) == SECRET


@pytest.mark.django_db
def test_rotation_re_encrypts_everything_so_that_the_fallback_can_go() -> None:
    with override_settings(SECRET_KEY="earlier"):
        digest = vault.digest("password")
        Key.objects.create(ciphertext=vault.encrypt(SECRET), digest="d1", tail="qrst")
    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=["earlier"]):
        Key.objects.create(ciphertext=vault.encrypt("another"), digest="d2", tail="ther")
        Key.objects.create(ciphertext="rubbish", digest="d3", tail="bish")

        assert vault.rotate() == 2
        assert vault.rotate() == 0

    vault.forget()
    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[]):
        assert vault.digest("password") == digest
        assert vault.decrypt(Key.objects.get(digest="d1").ciphertext) == SECRET


@pytest.mark.django_db
def test_a_digest_stays_the_same_over_restarts_and_the_pepper_is_stored_encrypted() -> None:
    digest = vault.digest("password")
    pepper = vault.unlock()
    vault.forget()

    assert vault.digest("password") == digest
    assert len(digest) == 64
    assert pepper.decode() not in Secret.objects.get().ciphertext


@pytest.mark.django_db
def test_two_installations_have_different_digests() -> None:
    digest = vault.digest("password")
    Secret.objects.all().delete()
    vault.forget()

    assert vault.digest("password") != digest


@pytest.mark.django_db
def test_a_pepper_that_cannot_be_read_is_never_replaced() -> None:
    with override_settings(SECRET_KEY="earlier"):
        vault.unlock()
    vault.forget()

    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[]):
        for _ in range(2):
            with pytest.raises(vault.Undecryptable):
                vault.digest("password")

    assert Secret.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "密码", "\ud800", "a\x00b"])
def test_anything_a_client_sends_can_be_digested(text: str) -> None:
    assert len(vault.digest(text)) == 64


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Consumer 'api_key:{SECRET}' suspended", "Consumer 'api_key:***' suspended"),
        (f"key {SECRET}.", "key ***."),
        ("https://host/v1beta/models?key=s3cret&alt=sse", "https://host/v1beta/models?key=***&alt=sse"),
        ("Authorization: Bearer s3cret", "Authorization: Bearer ***"),
        ("authorization: bearer ya29.a0Af-_x", "authorization: bearer ***"),
        ("x-goog-api-key: s3cret, x", "x-goog-api-key: ***, x"),
        ("token ya29.a0Af-_x.y ended", "token *** ended"),
        # What a service account's key has signed, and such a head alone.
        ("Invalid JWT: eyJhbGciOiJS.eyJpc3MiOiJy.c2ln-_ (2)", "Invalid JWT: *** (2)"),
        ("eyJhbGciOiJS is a word", "eyJhbGciOiJS is a word"),
        ("AQ.Ab8RN6LqXYZ-_0123456789 is bad", "*** is bad"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nrest", "***\nrest"),
        ("API key not valid. Please pass a valid API key.", "API key not valid. Please pass a valid API key."),
        ("models/gemini-2.5-pro is not found", "models/gemini-2.5-pro is not found"),
    ],
)
def test_key_shaped_texts_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert vault.mask(text) == masked


def test_the_tail_is_the_last_four_characters_but_nothing_of_a_short_secret() -> None:
    assert vault.tail(SECRET) == "qrst"
    assert vault.tail("k1") == ""
