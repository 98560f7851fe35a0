"""Gemini's logprobsResult -> the rows of OpenAI's ``logprobs.content``. Pure."""

from __future__ import annotations

from typing import Any, Final

# OpenAI's own word for "so unlikely that there is no number".
_UNLIKELY: Final = -9999.0


def read_logprobs(result: object) -> tuple[dict[str, Any], ...]:
    """Return one row for each chosen token, with the likeliest tokens in its place; () when there are none."""
    if not isinstance(result, dict):
        return ()
    places = _rows(result.get("topCandidates"))
    rows = []
    for place, chosen in enumerate(_rows(result.get("chosenCandidates"))):
        others = _rows(places[place].get("candidates")) if place < len(places) else []
        rows.append({**_token(chosen), "top_logprobs": [_token(other) for other in others]})
    return tuple(rows)


def _rows(value: object) -> list[dict[str, Any]]:
    # A row that is no object keeps its place, so that the two lists stay side by side.
    return [row if isinstance(row, dict) else {} for row in value] if isinstance(value, list) else []


def _token(row: dict[str, Any]) -> dict[str, Any]:
    token, logprob = row.get("token"), row.get("logProbability")
    text = token if isinstance(token, str) else ""
    known = isinstance(logprob, int | float) and not isinstance(logprob, bool)
    return {"token": text, "logprob": logprob if known else _UNLIKELY, "bytes": list(text.encode())}
