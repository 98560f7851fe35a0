"""The measurements stand in both editions of their page, in each in its own words."""

from __future__ import annotations

import re

import pytest

from bench import page
from bench.page import chinese, placed

# Names and units that are the same in Chinese.
NAMES = r"AMD|EPYC|Linux|fc|Python|nginx|Portkey|LiteLLM|hajimi|daphne|uvicorn|granian|SQLite|PostgreSQL|Redis|token"
UNITS = r"ms|s|k|KB|MB|GB|p50|p99|v\d+|SCALE"


def tables(text: str) -> dict[str, str]:
    """Return what stands between the marks of a page, by mark."""
    return {found[1]: found[2] for found in re.finditer(r"<!-- (\w+) -->\n(.*?)\n<!-- end of \1 -->", text, re.DOTALL)}


def test_the_chinese_page_has_the_tables_of_the_english_one_in_chinese() -> None:
    english, here = (tables(path.read_text(encoding="utf-8")) for path in (page.PAGE, page.CHINESE_PAGE))

    assert english.keys() >= {"table", "peers", "kinds", "streams", "growth"}
    assert {mark: chinese(text) for mark, text in english.items()} == here


def test_no_english_word_is_left_in_the_chinese_tables() -> None:
    here = "\n".join(tables(page.CHINESE_PAGE.read_text(encoding="utf-8")).values())

    words = set(re.findall(r"[A-Za-z][A-Za-z0-9]*", here))
    assert {word for word in words if not re.fullmatch(f"{NAMES}|{UNITS}", word)} == set()


def test_a_phrase_is_not_taken_for_part_of_a_word_nor_of_a_longer_phrase() -> None:
    assert chinese("keyskeys more") == "keyskeys 时多出"
    assert chinese("goal met; 1.2 of the goal") == "达到目标; 1.2 倍于目标"


def test_a_table_takes_the_place_of_the_one_before_and_nothing_else() -> None:
    assert placed("a\n<!-- t -->\nold\n<!-- end of t -->\nb", "t", "new") == (
        "a\n<!-- t -->\nnew\n<!-- end of t -->\nb"
    )


@pytest.mark.parametrize("text", ["nothing", "<!-- t -->\nno end"])
def test_a_page_without_the_place_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no place between"):
        placed(text, "t", "new")
