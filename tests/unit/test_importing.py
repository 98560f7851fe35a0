"""Keys are found in whatever people paste."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.importing import is_cut, is_usable, parse_keys

CLASSIC = "AIzaSyA-1234567890_abcdefghijklmnopqrst"
OTHER = "AIzaSyB-1234567890_abcdefghijklmnopqrst"
NEWER = "AQ.Ab8RN6LqXYZ-_0123456789abcdefghijklmnopqrstuvwxyz"

classic_keys = st.from_regex(r"AIza[0-9A-Za-z_-]{35}", fullmatch=True)
newer_keys = st.from_regex(r"AQ\.[0-9A-Za-z_-]{20,60}", fullmatch=True)
# Anything that can be no part of a key.
separators = st.text(
    st.characters(blacklist_categories=["Cs"]).filter(
        lambda letter: not (letter.isascii() and (letter.isalnum() or letter in "_.-"))
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    "text",
    [
        f"{CLASSIC}\n{NEWER}",
        f"{CLASSIC},{NEWER}",
        f"{CLASSIC}; {NEWER};",
        f"{CLASSIC}，{NEWER}。",
        f"GEMINI_API_KEYS={CLASSIC},{NEWER}",
        f"GEMINI_API_KEYS_1='{CLASSIC}'\nGEMINI_API_KEYS_2=\"{NEWER}\"",
        f'["{CLASSIC}", "{NEWER}"]',
        f"1. {CLASSIC}\n2. {NEWER}.\n",
        f"- {CLASSIC}\r\n- {NEWER}\r\n",
        f"\ufeff{CLASSIC}|{NEWER}",
        f"{CLASSIC}\u200b\u3000{NEWER}",
    ],
)
def test_it_finds_keys_whatever_stands_between_them(text: str) -> None:
    parsed = parse_keys(text)

    assert parsed.keys == (CLASSIC, NEWER)
    assert parsed.duplicates == 0
    assert parsed.malformed == ()


@settings(deadline=None)
@given(st.lists(st.tuples(classic_keys | newer_keys, separators), max_size=12), separators)
def test_it_finds_every_key_in_its_order_with_any_separators(pairs: list[tuple[str, str]], before: str) -> None:
    given_keys = [key for key, _ in pairs]

    parsed = parse_keys(before + "".join(key + separator for key, separator in pairs))

    assert parsed.keys == tuple(dict.fromkeys(given_keys))
    assert parsed.duplicates == len(given_keys) - len(set(given_keys))
    assert parsed.malformed == ()


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_it_fail_and_keys_are_always_usable(text: str) -> None:
    assert all(is_usable(key) for key in parse_keys(text).keys)


def test_it_counts_what_stands_there_again() -> None:
    parsed = parse_keys(f"{CLASSIC} {OTHER} {CLASSIC} {CLASSIC}")

    assert parsed.keys == (CLASSIC, OTHER)
    assert parsed.duplicates == 2


@pytest.mark.parametrize(
    "word", [CLASSIC[:-1], CLASSIC + "x", "not-a-key", "sk-proj-0123456789abcdefghijklmnop", "AQ.short"]
)
def test_it_leaves_out_what_is_no_key_and_shows_too_little_of_it_to_be_used(word: str) -> None:
    parsed = parse_keys(f"{word}\n{OTHER}")

    assert parsed.keys == (OTHER,)
    (hint,) = parsed.malformed
    assert hint.endswith(f"({len(word)})")
    assert len(hint) < 12


@pytest.mark.parametrize(
    ("secret", "usable"), [(CLASSIC, True), ("k1", True), ("", False), ("a b", False), ("kéy", False), ("a\nb", False)]
)
def test_a_usable_secret_can_travel_in_a_header(secret: str, usable: bool) -> None:
    assert is_usable(secret) is usable


@pytest.mark.parametrize(
    ("secret", "cut"),
    [
        (CLASSIC, False),
        (NEWER, False),
        ("a-key-of-another-form", False),
        (CLASSIC[:-1], True),
        (CLASSIC + "x", True),
        ("AIzaSyHalf", True),
        (NEWER[:12], True),
    ],
)
def test_a_key_of_google_s_that_is_not_whole_is_told_from_one_of_another_form(secret: str, cut: bool) -> None:
    assert is_cut(secret) is cut
