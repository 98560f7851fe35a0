"""Google's messages tell what is wrong, and nothing of the conversation."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.unsaid import SHORTEST, unsaid

TEXT = "the secret of the old lighthouse 灯塔的秘密就在海底下面的旧箱子里"
BODY = f'{{"contents":[{{"role":"user","parts":[{{"text":"{TEXT}"}}]}}]}}'.encode()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Bad contents[0], the secret of the old lighthouse!", "Bad contents[0], ***!"),
        ("the secret of the old lighthouse", "***"),
        ("said the secret of the old lighthouse twice: the secret of the old lighthouse.", "said ***twice: ***."),
        ("灯塔的秘密就在海底下面的旧箱子里", "***"),
        ("The model is overloaded. Please try again later.", "The model is overloaded. Please try again later."),
        # What is as short as this may be a word of Google's own.
        ("the secret", "the secret"),
        ("the secret o", "***"),
        ("海底下", "海底下"),
        ("It says 海底下面.", "It says ***."),
        ("It says 就在海底下面的旧.", "It says ***."),
        ("", ""),
    ],
)
def test_what_the_request_said_is_taken_out_of_the_message(message: str, told: str) -> None:
    assert unsaid(message, BODY) == told


def test_a_very_large_body_is_looked_at_from_both_ends() -> None:
    body = b"begins with these words" + b"A" * 30_000_000 + b"and ends with these words"

    assert unsaid("It begins with these words, and ends with these words.", body) == "It ***, ***."


def request_of(*texts: str) -> bytes:
    return orjson.dumps({"contents": [{"role": "user", "parts": [{"text": text} for text in texts]}]})


@pytest.mark.parametrize("quoted", ['a "fox"\nin the\tbarn', r"a \"fox\"\nin the\tbarn", "a fox \\n in the barn"])
def test_a_quotation_is_found_as_it_was_written_and_as_it_was_sent(quoted: str) -> None:
    body = request_of('Once a "fox"\nin the\tbarn said', "and once a fox \\n in the barn")

    assert unsaid(f"Refused: {quoted}", body).removeprefix("Refused:").strip() == "***"


def test_a_sentence_in_the_middle_of_a_large_body_is_found() -> None:
    pages = [f"Page {number} of a long story that goes on and on. " for number in range(15_000)]
    pages[7_000] = "Nobody but us has heard of zebras."

    assert unsaid("Bad: us has heard of zebras!", request_of("".join(pages))) == "Bad:***!"


def test_pictures_do_not_keep_it_from_looking_at_all_that_was_said() -> None:
    picture = "iVBORw0KGgo" * 300_000

    body = request_of("before the picture", picture, "between two pictures", picture, "after the picture")

    assert unsaid("It says: between two pictures.", body) == "It says: ***."


def test_a_message_that_repeats_what_is_all_over_the_body_is_not_shown_at_all() -> None:
    assert unsaid("Bad: " + "ha" * 20, request_of("ha" * 600_000)) == "***"


@given(
    st.text('ab "\\\n灯塔é😀', max_size=80),
    st.text('ab "\\\n灯塔é😀', max_size=40),
    st.text("xyz", max_size=9),
    st.text("xyz", max_size=9),
)
def test_no_piece_of_any_text_is_left_in_a_message(before: str, piece: str, start: str, end: str) -> None:
    """Of what remains, nothing as long as the shortest piece stands in the text."""
    text = before + piece + before

    shown = unsaid(start + piece + end, request_of(text)).split("***")

    left = [part[at:] for part in shown for at in range(len(part))]
    assert not [one for one in left if (least := _least(one)) and least in text]
    assert shown[0].startswith(start[:1])


def _least(text: str) -> str:
    """Return the shortest beginning of ``text`` that has SHORTEST bytes, "" when it has fewer."""
    return next((text[:end] for end in range(len(text) + 1) if len(text[:end].encode()) >= SHORTEST), "")
