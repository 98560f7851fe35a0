"""Google's messages tell what is wrong, and nothing of the conversation."""

from __future__ import annotations

import pytest

from proxy.unsaid import unsaid

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
        ("the secret", "the secret"),
        ("", ""),
    ],
)
def test_what_the_request_said_is_taken_out_of_the_message(message: str, told: str) -> None:
    assert unsaid(message, BODY) == told


def test_a_very_large_body_is_looked_at_from_both_ends() -> None:
    body = b"begins with these words" + b"A" * 30_000_000 + b"and ends with these words"

    assert unsaid("It begins with these words, and ends with these words.", body) == "It ***, ***."
