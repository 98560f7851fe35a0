"""The page of the measurements, in two languages: puts tables between their marks, and says their words in Chinese."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, CHINESE_PAGE, CHART = DOCS / "performance.md", DOCS / "performance.zh-CN.md", DOCS / "performance.svg"
PHRASES: Mapping[str, str] = json.loads((Path(__file__).parent / "chinese.json").read_text(encoding="utf-8"))


def _bounded(phrase: str) -> str:
    """Return the pattern of a phrase that does not begin or end inside a word."""
    before, after = (r"\b" if letter.isalnum() else "" for letter in (phrase[0], phrase[-1]))
    return f"{before}{re.escape(phrase)}{after}"


# The longest first: one phrase may begin another.
_PHRASE = re.compile("|".join(map(_bounded, sorted(PHRASES, key=len, reverse=True))))


def chinese(text: str) -> str:
    """Return a text of the page's tables with every phrase of ``chinese.json`` in Chinese; numbers and names stay."""
    return _PHRASE.sub(lambda found: PHRASES[found[0]], text)


def placed(page: str, mark: str, text: str) -> str:
    """Return the page with ``text`` between two marks; raises ValueError when the page has no such place."""
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    if not begin or not end:
        raise ValueError(f"the page has no place between <!-- {mark} --> and <!-- end of {mark} -->")
    return f"{before}{begin}{text}\n{end}{after}"


def write(texts: Mapping[str, str], picture: str) -> None:
    """Write tables by their marks into both editions of the page, and the picture where there is one."""
    for path, said in ((PAGE, str), (CHINESE_PAGE, chinese)):
        page = path.read_text(encoding="utf-8")
        for mark, text in texts.items():
            page = placed(page, mark, said(text))
        path.write_text(page, encoding="utf-8")
    if picture:
        CHART.write_text(picture, encoding="utf-8")
