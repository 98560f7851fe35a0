"""Every document exists in English and in Chinese, and both say the same."""

from __future__ import annotations

import gettext
import re

import pytest
from django.utils.functional import Promise

from proxy import refusals
from tests.unit.test_documents import ROOT, code_in, same, text_of

ENGLISH = sorted(path.name for path in (ROOT / "docs").glob("*.md") if ".zh-CN" not in path.name)
CHINESE = gettext.translation("django", ROOT / "locale", languages=["zh_Hans"])


def pair(name: str) -> tuple[str, str]:
    return text_of(f"docs/{name}"), text_of(f"docs/{name.removesuffix('.md')}.zh-CN.md")


@pytest.mark.parametrize("name", ENGLISH)
def test_each_page_has_a_chinese_edition_with_the_same_parts(name: str) -> None:
    english, chinese = pair(name)
    parts = (r"^(#+) ", r"^```(\w*)$", r"^(\d)\. ", r"^(-) ", r"^!\[.*\]\((.*)-(?:en|zh)\.png\)$")
    for part in parts:
        there, here = (re.findall(part, page, re.MULTILINE) for page in (english, chinese))
        assert there == here, part


@pytest.mark.parametrize("name", ENGLISH)
def test_both_editions_name_the_same_things_and_lead_to_the_same_places(name: str) -> None:
    english, chinese = pair(name)

    assert code_in(english) == code_in(chinese)
    links = [sorted({same(link) for link in re.findall(r"\]\(([\w./-]+\.md)\)", page)}) for page in (english, chinese)]
    assert links[0] == links[1]


def sentences() -> set[str]:
    """Return every English text of ours, as a pattern in which places for values stand for anything."""
    return {text for text in CHINESE._catalog if isinstance(text, str)}  # type: ignore[attr-defined]


def is_said(heading: str, texts: set[str]) -> bool:
    """Tell whether some text of ours reads like ``heading``, whose dots stand for values."""
    wanted = ".*".join(map(re.escape, re.split(r"\s*…\s*", heading)))
    return any(re.fullmatch(wanted, re.sub(r"%\(\w+\)s", " x ", text)) or _close(wanted, text) for text in texts)


def _close(wanted: str, text: str) -> bool:
    return re.fullmatch(wanted, re.sub(r"\s*[“\"]?%\(\w+\)s[”\"]?\s*", "", text)) is not None


# What only a program's author meets; the sentence says it all.
FOR_AUTHORS = {"NOT_JSON", "UNFETCHABLE", "NOT_THIS_METHOD", "NOT_A_CHAT_MODEL", "OUT_FOR_MODEL"}


def test_every_refusal_that_people_meet_is_explained() -> None:
    page = pair("troubleshooting.md")[0]
    headings = re.findall(r'^### "(.*)"$', page, re.MULTILINE)
    known = {name: str(text) for name, text in vars(refusals).items() if name.isupper() and isinstance(text, Promise)}
    known |= {
        f"LIMIT {name}": str(text) for name, text in refusals.LIMIT_SENTENCES.items() if not name.startswith("model-")
    }
    known |= {outcome.name: str(text) for outcome, (_, text) in refusals.AFTER_ATTEMPTS.items()}

    unexplained = {
        name
        for name, text in known.items()
        if name not in FOR_AUTHORS and not any(is_said(heading, {text}) for heading in headings)
    }

    # One heading stands for the minute's, the day's and the tokens' limit; the text below it says so.
    assert unexplained == {"LIMIT day", "LIMIT tokens"}


@pytest.mark.parametrize("number", [0, 1])
def test_the_sentences_explained_are_sentences_that_hajimi_says(number: int) -> None:
    page = pair("troubleshooting.md")[number]
    headings = re.findall(r'^### ["“](.*[.。…:：)）])["”]$', page, re.MULTILINE)
    texts = sentences() if number == 0 else {CHINESE.gettext(text) for text in sentences()}

    assert len(headings) > 15
    assert [heading for heading in headings if not is_said(heading, texts)] == []
