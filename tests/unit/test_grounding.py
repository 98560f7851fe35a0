"""Google counts sources in bytes of a part; clients get characters of the whole text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.grounding import LONGEST, Said
from proxy.translation.reply import Annotation, AnnotationsDelta, Delta, Source, TextDelta, Translator

NEWS, MAPS, FILE = "https://news.example/1", "https://maps.example/?cid=2", "https://files.example/3"
CHUNKS = [
    {"web": {"uri": NEWS, "title": "news.example"}},
    {"maps": {"uri": MAPS, "title": "Joe's", "placeId": "p"}},
    {"retrievedContext": {"text": "no address"}},
    {"retrievedContext": {"uri": FILE}},
    {"web": {"uri": NEWS, "title": "again"}},
]


def support(text: str | None, start: int | None, end: int | None, *chunks: Any, part: int | None = None) -> Any:
    segment = {"startIndex": start, "endIndex": end, "text": text, "partIndex": part}
    known = {name: value for name, value in segment.items() if value is not None}
    return {"segment": known, "groundingChunkIndices": list(chunks)}


def event(*texts: Any, **more: Any) -> dict[str, Any]:
    parts = [{"text": text} if isinstance(text, str) else text for text in texts]
    return {"candidates": [{"content": {"parts": parts}, **more}]}


def grounded(*supports: Any, chunks: Any = CHUNKS) -> dict[str, Any]:
    return {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": list(supports)}}


def told(*events: Any) -> tuple[str, AnnotationsDelta | None]:
    """The text that clients see, and what is said about it."""
    translator = Translator()
    deltas: list[Delta] = [delta for each in events for delta in translator.feed(each)] + translator.finish()
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    return text, next((delta for delta in deltas if isinstance(delta, AnnotationsDelta)), None)


def quoted(*events: Any) -> list[tuple[str, str]]:
    text, delta = told(*events)
    return [(text[one.start : one.end], one.source.url) for one in delta.annotations] if delta else []


def test_bytes_become_characters():
    text = "Über 北京: é ist schön. 😀 Ja."
    start = text.encode().index("é ist".encode())
    end = start + len("é ist schön.".encode())

    assert quoted(event(text, **grounded(support("é ist schön.", start, end, 0)))) == [("é ist schön.", NEWS)]
    assert quoted(event(text, **grounded(support(None, start, end, 0)))) == [("é ist schön.", NEWS)]


def test_a_segment_without_start_begins_at_the_first_character():
    assert quoted(event("One. Two.", **grounded(support("One.", None, 4, 1)))) == [("One.", MAPS)]


def test_one_segment_may_have_several_sources():
    assert quoted(event("One.", **grounded(support("One.", 0, 4, 0, 3)))) == [("One.", NEWS), ("One.", FILE)]


def test_sources_are_named_once_and_those_without_address_not_at_all():
    text, delta = told(event("One. Two.", **grounded(support("Two.", 5, 9, 4, 2))))

    sources = (Source(NEWS, "news.example"), Source(MAPS, "Joe's"), Source(FILE, FILE))
    assert delta == AnnotationsDelta((Annotation(5, 9, sources[0]),), sources)
    assert text == "One. Two."


def test_a_streamed_text_counts_as_one():
    events = [event("Öne. "), event("Twö. "), event("Three.", **grounded(support("Twö. Three.", 6, 18, 0)))]

    assert quoted(*events) == [("Twö. Three.", NEWS)]


def test_sources_may_come_before_the_text_they_back_and_more_than_once():
    metadata = grounded(support("Three.", 10, 16, 0))

    assert quoted(event("One. Two. ", **metadata), event("Three.", **metadata)) == [("Three.", NEWS)]


def test_blank_text_that_waited_counts():
    assert quoted(event("\n"), event("\nOne.", **grounded(support("One.", 2, 6, 0)))) == [("One.", NEWS)]


def test_thoughts_do_not_count():
    thought = {"text": "Let me see", "thought": True}

    assert quoted(event(thought, "One. Two.", **grounded(support("Two.", 5, 9, 0)))) == [("Two.", NEWS)]


def test_code_that_we_put_between_is_stepped_over():
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    events = event("One. ", code, "Two. Three.", **grounded(support("Two.", 5, 9, 0), support("One.", 0, 4, 0)))

    assert quoted(events) == [("Two.", NEWS), ("One.", NEWS)]


def test_a_segment_around_code_spans_it():
    code = {"executableCode": {"code": "1"}}

    [(text, _)] = quoted(event("One. ", code, "Two.", **grounded(support("One. Two.", 0, 9, 0))))

    assert text == "One. \n```\n1\n```\nTwo."


def test_a_part_may_be_named():
    texts = ("Ähnlich. ", {"functionCall": {"name": "look"}}, "Ähnlich. Two.")

    _, by_text = told(event(*texts, **grounded(support("Two.", 10, 14, 0, part=2))))
    _, by_count = told(event(*texts, **grounded(support(None, 0, 9, 0, part=2))))

    assert by_text
    assert by_count
    assert [(one.start, one.end) for one in by_text.annotations + by_count.annotations] == [(18, 22), (9, 17)]


def test_a_segment_that_is_a_little_off_is_found_by_its_text():
    text = "Yes. No. Yes. No. Yes."

    def place(start: int) -> int:
        _, delta = told(event(text, **grounded(support("Yes.", start, start + 4, 0))))
        assert delta
        return delta.annotations[0].start

    assert [place(start) for start in (0, 1, 8, 10, 19, 400)] == [0, 0, 9, 9, 18, 18]


@pytest.mark.parametrize(
    "odd",
    [
        {"groundingMetadata": None},
        {"groundingMetadata": {}},
        {"groundingMetadata": {"webSearchQueries": ["q"], "searchEntryPoint": {"renderedContent": "<b>"}}},
        grounded(chunks=None),
        grounded(chunks=[None, {}, {"web": None}, {"web": {"uri": 7}}, {"web": {"uri": ""}}]),
        {"citationMetadata": {"citationSources": [None, {}, {"uri": None}], "citations": 7}},
    ],
)
def test_metadata_that_names_no_page_says_nothing(odd: dict[str, Any]):
    assert told(event("One.", **odd)) == ("One.", None)


@pytest.mark.parametrize(
    "odd",
    [
        support("One.", 0, 4, 9, -1, "0", None, True),
        support(None, 3, 3, 0),
        support(None, 30, 40, 0),
        support(None, 4, 2, 0),
        {"segment": None, "groundingChunkIndices": [0]},
        {"segment": {}, "groundingChunkIndices": None},
        None,
    ],
)
def test_a_support_without_a_place_or_a_page_annotates_nothing(odd: Any):
    _, delta = told(event("One.", **grounded(odd)))

    assert delta
    assert delta.annotations == ()
    assert len(delta.sources) == 3


def test_citations_are_sources_too():
    rows = [{"startIndex": 5, "endIndex": 9, "uri": NEWS, "title": "News"}, {"endIndex": 4, "uri": MAPS}]

    for key in ("citationSources", "citations"):
        text = event("Öne Two.", citationMetadata={key: rows})
        assert quoted(text) == [("Two.", NEWS), ("Öne", MAPS)]


def test_a_citation_without_place_is_of_the_whole_text():
    assert quoted(event("One. Two.", citationMetadata={"citations": [{"uri": NEWS}]})) == [("One. Two.", NEWS)]


def test_an_answer_without_text_has_no_sources():
    assert told(event(" ", **grounded(support(" ", 0, 1, 0)))) == ("", None)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.lists(words, min_size=1, max_size=8), st.data())
def test_any_segment_is_found_exactly(texts: list[str], data: st.DataObject):
    said = "".join(texts)
    start = data.draw(st.integers(0, len(said)))
    end = data.draw(st.integers(start, len(said)))
    wanted = said[start:end]
    first = len(said[:start].encode())
    metadata = grounded(support(wanted, first, first + len(wanted.encode()), 0))

    text, delta = told(*(event(each) for each in texts), event(**metadata))

    if text and wanted:
        assert text == said
        assert delta
        assert [(one.start, one.end) for one in delta.annotations] == [(start, end)]


def test_a_very_long_text_is_counted_and_not_kept() -> None:
    said = Said()
    for _ in range(3):
        said.add("x" * LONGEST, 0)

    assert (said.length, said.runs, said.is_kept) == (3 * LONGEST, [], False)
