"""Gemini's groundingMetadata and citationMetadata -> what backs which characters of an answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.translation.deltas import Annotation, AnnotationsDelta, Source

KEYS: Final = ("groundingMetadata", "citationMetadata")
# More than twice what any model says in one answer today (65,536 tokens).
LONGEST: Final = 2**19


class Said:
    """The text of one choice, run by run: what Gemini said (with the number of its part), or what we put between.

    Text beyond LONGEST characters is not kept, only counted: an answer must not cost memory by its length. Its sources
    are then told without their places.
    """

    __slots__ = ("_runs", "is_kept", "length")

    def __init__(self) -> None:
        self._runs: list[tuple[int | None, list[str]]] = []
        self.length = 0
        self.is_kept = True

    def add(self, text: str, part: int | None) -> None:
        """Add ``text`` of part number ``part``, None for text of our own."""
        self.length += len(text)
        if self.length > LONGEST:
            self.is_kept = False
            self._runs.clear()
            return
        if not self._runs or self._runs[-1][0] != part:
            self._runs.append((part, []))
        self._runs[-1][1].append(text)

    @property
    def runs(self) -> list[tuple[int | None, str]]:
        """The runs so far; neighbours differ in their part."""
        return [(part, "".join(texts)) for part, texts in self._runs]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A source, and the bytes that it backs as Google counts them; no ``end``: to the end of the text."""

    source: Source
    start: int = 0
    end: int | None = None
    text: str = ""
    part: int | None = None


class Grounding:
    """Collects what an answer's events say of its sources; placed once the text is whole."""

    __slots__ = ("_chunks", "_claims", "_sources")

    def __init__(self) -> None:
        self._chunks: list[Source | None] = []
        self._claims: dict[_Claim, None] = {}
        self._sources: dict[str, Source] = {}

    def feed(self, candidate: dict[str, Any]) -> None:
        """Take in the metadata of one candidate of one event. Events may repeat what others have told."""
        if isinstance(grounding := candidate.get("groundingMetadata"), dict):
            self._read_grounding(grounding)
        if isinstance(citation := candidate.get("citationMetadata"), dict):
            for key in ("citationSources", "citations"):
                for row in _objects(citation.get(key)):
                    self._read_citation(row)

    def annotations(self, said: Said, index: int) -> AnnotationsDelta | None:
        """Return what is known of the sources of ``said``, the whole text; None when that is nothing."""
        if not self._sources:
            return None
        places = _Places(said)
        claims = self._claims if said.is_kept else ()
        found = ((places.of(claim), claim.source) for claim in claims)
        unique = dict.fromkeys(Annotation(*place, source) for place, source in found if place)
        return AnnotationsDelta(tuple(unique), tuple(self._sources.values()), index)

    def _read_grounding(self, grounding: dict[str, Any]) -> None:
        if isinstance(chunks := grounding.get("groundingChunks"), list):
            self._chunks = [self._known(_source_in(chunk)) for chunk in chunks]
        for support in _objects(grounding.get("groundingSupports")):
            segment, numbers = support.get("segment"), support.get("groundingChunkIndices")
            if isinstance(segment, dict) and isinstance(numbers, list):
                self._read_support(segment, numbers)

    def _read_support(self, segment: dict[str, Any], numbers: list[Any]) -> None:
        text = segment.get("text")
        for number in numbers:
            source = self._chunks[number] if type(number) is int and 0 <= number < len(self._chunks) else None
            if source:
                start, end = _count(segment.get("startIndex")), _count(segment.get("endIndex"))
                part = _count(segment.get("partIndex"))
                self._claims[_Claim(source, start or 0, end, text if isinstance(text, str) else "", part)] = None

    def _read_citation(self, row: dict[str, Any]) -> None:
        if source := self._known(_source(row)):
            self._claims[_Claim(source, _count(row.get("startIndex")) or 0, _count(row.get("endIndex")))] = None

    def _known(self, source: Source | None) -> Source | None:
        """Return the source as it is listed: one URL is one source."""
        return self._sources.setdefault(source.url, source) if source else None


class _Places:
    """Finds in a choice's text what Google counts in bytes.

    Google counts within the part; in all recordings that means: all text that the model said, without thoughts and
    without what stands in other parts.
    """

    def __init__(self, said: Said) -> None:
        self._runs = said.runs
        self._text = "".join(text for part, text in self._runs if part is not None)
        self._bytes = self._text.encode(errors="surrogatepass")

    def of(self, claim: _Claim) -> tuple[int, int] | None:
        """Return the first and the end character of what the claim backs, None when that is nothing."""
        base = self._base(claim.part)
        place = (
            self._exact(claim, base) or self._exact(claim, 0) or self._nearest(claim, base) or self._cut(claim, base)
        )
        start, end = place
        return (self._outer(start, at_end=False), self._outer(end, at_end=True)) if start < end else None

    def _exact(self, claim: _Claim, base: int) -> tuple[int, int] | None:
        """Return the place of the claim if its text stands there."""
        if claim.end is None or not claim.text:
            return None
        wanted = claim.text.encode(errors="surrogatepass")
        if self._bytes[base + claim.start : base + claim.end] != wanted:
            return None
        start = self._characters(base + claim.start)
        return start, start + len(claim.text)

    def _nearest(self, claim: _Claim, base: int) -> tuple[int, int] | None:
        """Return where the claim's text stands closest to where it should."""
        if not claim.text:
            return None
        wanted = self._characters(base + claim.start)
        before = self._text.rfind(claim.text, 0, wanted + len(claim.text))
        after = self._text.find(claim.text, wanted)
        found = [place for place in (before, after) if place >= 0]
        if not found:
            return None
        start = min(found, key=lambda place: abs(place - wanted))
        return start, start + len(claim.text)

    def _cut(self, claim: _Claim, base: int) -> tuple[int, int]:
        """Return the claim's place by its numbers alone, within the text."""
        end = len(self._bytes) if claim.end is None else base + claim.end
        return self._characters(base + claim.start), self._characters(end)

    def _characters(self, count: int) -> int:
        """Return how many characters begin within the first ``count`` bytes' whole ones."""
        return len(self._bytes[:count].decode(errors="ignore"))

    def _base(self, part: int | None) -> int:
        """Return how many bytes were said before part number ``part``."""
        count = 0
        for number, text in self._runs if part else ():
            if number == part:
                return count
            if number is not None:
                count += len(text.encode(errors="surrogatepass"))
        return 0

    def _outer(self, place: int, *, at_end: bool) -> int:
        """Return where a character of what Gemini said stands in the whole text."""
        said = whole = 0
        for part, text in self._runs:
            if part is not None and (place <= said + len(text) if at_end else place < said + len(text)):
                return whole + place - said
            said += len(text) if part is not None else 0
            whole += len(text)
        return whole


def _source_in(chunk: object) -> Source | None:
    """Return the page of a grounding chunk: {"web": {...}}, {"maps": {...}}, {"retrievedContext": {...}}."""
    kinds = chunk.values() if isinstance(chunk, dict) else ()
    return next((source for kind in kinds if isinstance(kind, dict) and (source := _source(kind))), None)


def _source(row: dict[str, Any]) -> Source | None:
    url = row.get("uri")
    if not isinstance(url, str) or not url:
        return None
    names = (row.get("title"), row.get("domain"))
    return Source(url, next((name for name in names if isinstance(name, str) and name), url))


def _objects(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
