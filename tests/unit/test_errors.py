"""A refusal is one sentence for people and one safe reason phrase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import (
    BadRequest,
    HajimiError,
    KeysBusy,
    KeysResting,
    LimitReached,
    NotReady,
    Quoted,
    UnknownModel,
    UnknownPath,
    UpstreamFailed,
)
from proxy.views.answering import openai_duration

UNKNOWN = 'The model "%(model)s" does not exist here.'


def test_the_sentence_quotes_the_client_and_the_reason_phrase_does_not() -> None:
    error = UnknownModel(UNKNOWN, {"model": Quoted("gemini-9\r\nx: y")})

    assert error.english() == 'The model "gemini-9 x: y" does not exist here.'
    assert error.reason() == "The model does not exist here."


@given(st.text(max_size=500))
def test_a_reason_phrase_is_short_printable_ascii_in_one_line(text: str) -> None:
    reason = BadRequest("Google says: %(message)s", {"message": text}).reason()

    assert len(reason) <= 200
    assert all(" " <= letter <= "~" for letter in reason)


@given(st.text(max_size=100))
def test_a_sentence_is_one_line(text: str) -> None:
    assert len(BadRequest("Google says: %(message)s", {"message": text}).sentence().splitlines()) == 1


def test_durations_are_written_as_openai_writes_them() -> None:
    assert [openai_duration(seconds) for seconds in (0, 0.12, 1, 59.2, 60, 3723)] == [
        "0ms",
        "120ms",
        "1s",
        "1m0s",
        "1m0s",
        "1h2m3s",
    ]


def test_what_others_see_of_a_refusal_holds_nothing_that_its_client_sent() -> None:
    error = UnknownPath(
        'This address ("%(path)s") is not part of the API, %(known)s.', {"path": Quoted("/a/b"), "known": 5}
    )

    assert error.sentence() == 'This address ("/a/b") is not part of the API, 5.'
    assert error.for_others() == 'This address ("…") is not part of the API, 5.'


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (LimitReached("Wait.", retry_after=12), False),
        (LimitReached("Wait until tomorrow.", retry_after=7200), True),
        (NotReady("Stopping.", retry_after=5), False),
        (KeysBusy("All keys are busy.", retry_after=1), False),
        (KeysResting("All keys rest.", retry_after=30), True),
        (UpstreamFailed("Nothing came.", retry_after=5), True),
        (BadRequest("No."), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_clients_ask_again_by_themselves_only_where_waiting_helps(error: HajimiError, is_final: bool) -> None:
    assert error.is_final is is_final
