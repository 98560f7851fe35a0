"""The load generator notices what a broken proxy would do to an answer."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from bench.load import Shot, fire
from bench.running import DIRECT
from tests.gemini import FakeGemini, answer, end, reset
from tests.gemini.replies import Fault

GOOD = "0:1234567890; 1:1234567890; 2:1234567890; "


async def faults(gemini: FakeGemini) -> list[str]:
    port = urlsplit(gemini.url).port
    assert port
    tally = await fire(port, Shot(f"{DIRECT}&key=any", chunks=3), password="", connections=2, each=2)
    return tally.faults


async def test_a_good_answer_has_no_faults(gemini: FakeGemini) -> None:
    gemini.always(GOOD)

    assert await faults(gemini) == []


@pytest.mark.parametrize("text", ["0:1234567890; 2:1234567890; ", f"{GOOD}2:1234567890; ", "1:1234567890; ", ""])
async def test_a_lost_a_doubled_and_a_missing_chunk_are_noticed(gemini: FakeGemini, text: str) -> None:
    gemini.always(text)

    assert len(await faults(gemini)) == 4


@pytest.mark.parametrize("fault", [reset(1), end(2)])
async def test_a_cut_answer_is_noticed(gemini: FakeGemini, fault: Fault) -> None:
    gemini.always(answer(GOOD, fault=fault))

    assert await faults(gemini)


async def test_a_refusal_is_noticed(gemini: FakeGemini) -> None:
    gemini.always(503)

    assert "503" in (await faults(gemini))[0]
