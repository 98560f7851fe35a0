"""Hypothesis strategies: answers of one choice as batches of deltas, as translators bring them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    ServedDelta,
    SignatureDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.turns import ServerPart

TEXT = st.sampled_from(["Hello", " wörld", "\n", "😀", "\u2028", '"quoted"', "\u0085"]) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=10
)
SIGNATURE = st.sampled_from(["U0lH", "_-8=", "c2tpcA=="])
ARGUMENTS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), st.integers(-9, 9) | TEXT, max_size=2)
SOURCE = st.builds(Source, st.just("https://x.y/z"), TEXT)
ANNOTATIONS = st.builds(
    lambda start, length, source: AnnotationsDelta((Annotation(start, start + length, source),), (source,)),
    st.integers(0, 20),
    st.integers(1, 9),
    SOURCE,
)
PIECE: st.SearchStrategy[Delta] = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(TextDelta, TEXT),
    st.builds(ThoughtDelta, TEXT),
    st.builds(
        MediaDelta, st.sampled_from(["image/png", "image/webp", "audio/L16;rate=24000", "video/mp4"]), st.just("AAAA")
    ),
    st.builds(
        lambda name, arguments, signature: ToolCallDelta("", name, json.dumps(arguments), 0, 0, signature),
        st.sampled_from(["weather", "time.now"]),
        ARGUMENTS,
        st.none() | SIGNATURE,
    ),
    st.builds(SignatureDelta, SIGNATURE),
    st.just(ServedDelta((ServerPart({"toolCall": {"id": "1"}}),), "call_0")),
    ANNOTATIONS,
    st.just(LogprobsDelta(({"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []},))),
)


def _numbered(batches: list[list[Delta]], finish: Finish) -> list[list[Delta]]:
    """Return the batches with an id for each call, and with their end."""
    calls = 0
    numbered: list[list[Delta]] = []
    for batch in batches:
        numbered.append([])
        for delta in batch:
            if isinstance(delta, ToolCallDelta):
                delta = ToolCallDelta(f"call_{calls}", delta.name, delta.arguments, calls, 0, delta.signature)
                calls += 1
            numbered[-1].append(delta)
    return [*numbered, [FinishDelta(finish)]]


ANSWERS: st.SearchStrategy[Any] = st.builds(
    _numbered, st.lists(st.lists(PIECE, min_size=1, max_size=4), max_size=5), st.sampled_from(Finish)
)
