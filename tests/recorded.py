"""Recorded answers of Gemini's, and what a person reads in them.

Beside those in ``../shared/gemini/recordings`` another folder can be tried: HAJIMI_TEST_RECORDINGS names it. Each of
its files holds one exchange, ``{"request": {"url": ..., "body": ...}, "response": {"body": ...}}``: the body of an
answer is a document, a list of events, or a stream's text. No file of either folder belongs in this repository.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.shared import SHARED

FINISHES = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    2: "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "UNEXPECTED_TOOL_CALL": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
}
ANSWERING = ("generateContent", "streamGenerateContent", "response-only")


@cache
def _paths() -> dict[str, Path]:
    """Return the file of each recorded answer by its name."""
    return _beside() | _elsewhere()


def _beside() -> dict[str, Path]:
    if SHARED is None:
        return {}
    folder = SHARED / "gemini/recordings"
    rows = json.loads((folder / "index.json").read_text())
    return {
        row["name"]: folder / f"{row['name']}.json"
        for row in rows
        if row["status"] == 200 and row["endpoint"] in ANSWERING
    }


def _elsewhere() -> dict[str, Path]:
    folder = os.environ.get("HAJIMI_TEST_RECORDINGS")
    if not folder:
        return {}
    found = {
        f"elsewhere-{path.stem}": path for path in sorted(Path(folder).glob("*.json")) if path.name != "index.json"
    }
    return {name: path for name, path in found.items() if _is_answer(path)}


def _is_answer(path: Path) -> bool:
    recording = json.loads(path.read_text())
    response = recording.get("response") or {}
    return response.get("status", 200) == 200 and "candidates" in json.dumps(response.get("body"))


def recorded_names() -> list[str]:
    """Return the names of all recorded answers."""
    return list(_paths())


def recording_of(name: str) -> Any:
    """Return a recorded exchange."""
    return json.loads(_paths()[name].read_text())


def answer_of(name: str) -> Any:
    """Return the body of a recorded answer."""
    return recording_of(name)["response"]["body"]


def events_in(body: Any) -> list[dict[str, Any]]:
    """The plain reading: every recorded frame is one line."""
    if isinstance(body, str):
        return [json.loads(line[5:]) for line in re.split(r"\r\n|\n|\r", body) if line.startswith("data:")]
    return body if isinstance(body, list) else [body]


def stream_of(body: Any) -> bytes:
    """The bytes of a stream as recorded, or the same answer framed as Gemini frames one."""
    if isinstance(body, str):
        return body.encode()
    return b"".join(
        b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n" for event in events_in(body)
    )


# Name, the arguments' leaves by their path, Google's id, signature.
Call = tuple[str, dict[str, Any], str | None, str | None]


def leaves_of(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """The plain values in a JSON value, each with its path; an empty list or object is one too."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves_of(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves_of(inner, f"{path}[{number}]")
    elif (value, path) != ({}, "$"):
        yield path, value


def chosen(items: list[Any], numbers: list[int]) -> list[Any]:
    return [items[number] for number in numbers if number < len(items)]


def quotes_in(candidate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The pieces of text that Google itself quotes as backed by a page, with the page's address."""
    grounding = candidate.get("groundingMetadata", {})
    for support in grounding.get("groundingSupports", []):
        # Two of the recordings were shortened by hand: their supports name more pages than there are.
        for chunk in chosen(grounding["groundingChunks"], support.get("groundingChunkIndices", [])):
            for page in chunk.values():
                if "uri" in page and support["segment"].get("text"):
                    yield support["segment"]["text"], page["uri"]


class Reading:
    """What a person reads in the recorded events of one candidate."""

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self.text = self.thoughts = ""
        self.said = ""
        self.calls: list[Call] = []
        self.signature: str | None = None
        self.served: list[dict[str, Any]] = []
        self.has_text = self.is_mixed = self.is_cut = False
        self.media: list[str] = []
        self.quotes: list[tuple[str, str]] = []
        self.reason: Any = None
        self.block: str | None = None
        self.metadata: dict[str, Any] = {}
        for event in events:
            self.metadata = event.get("usageMetadata") or self.metadata
            self.block = event.get("promptFeedback", {}).get("blockReason") or self.block
            for candidate in event.get("candidates", []):
                assert candidate.get("index", 0) == 0
                self.reason = candidate.get("finishReason") or self.reason
                self.has_text = False
                for part in candidate.get("content", {}).get("parts", []):
                    self.read(part)
                self.quotes += quotes_in(candidate)
        if not self.text.strip() and not self.calls and not self.media:
            self.text = ""
        if self.is_mixed or not self.visible:
            self.signature = None

    def read(self, part: dict[str, Any]) -> None:
        if part.get("thought"):
            self.thoughts += part.get("text", "")
            return
        self.text += part.get("text", "")
        self.said += part.get("text", "")
        if "text" in part:
            # A client sends all text back as one: what signed a part of it can not go with the whole.
            self.is_mixed = self.is_mixed or bool(part["text"] and self.has_text)
            self.has_text = self.has_text or bool(part["text"])
            if part["text"] and self.is_cut:
                # Text after a search is another part, which an earlier signature does not sign.
                self.is_cut, self.signature = False, None
            self.signature = part.get("thoughtSignature") or self.signature
        if "executableCode" in part:
            self.is_mixed = True
        if "toolCall" in part or "toolResponse" in part:
            self.served.append(part)
            self.has_text, self.is_cut = False, True
        if code := part.get("executableCode", {}).get("code"):
            self.text += f"\n```python\n{code.rstrip()}\n```\n"
        if output := part.get("codeExecutionResult", {}).get("output"):
            self.text += f"\n```\n{output.rstrip()}\n```\n"
        if "functionCall" in part:
            self.read_call(part["functionCall"], part.get("thoughtSignature"))
        if "inlineData" in part:
            self.media.append(part["inlineData"]["data"])

    def read_call(self, call: dict[str, Any], signature: str | None) -> None:
        if "name" in call:
            leaves = dict(leaves_of(call.get("args", {})))
            self.calls.append((call["name"], leaves, call.get("id"), signature))
        for piece in call.get("partialArgs", []):
            [value] = [piece[name] for name in ("stringValue", "numberValue", "boolValue") if name in piece]
            leaves = self.calls[-1][1]
            leaves[piece["jsonPath"]] = leaves[piece["jsonPath"]] + value if piece["jsonPath"] in leaves else value

    @property
    def visible(self) -> bool:
        return bool(self.text or self.calls or self.media)

    @property
    def finish(self) -> str:
        if self.block:
            return "content_filter"
        finish = FINISHES.get(self.reason) or ("stop" if self.visible else "content_filter")
        return "tool_calls" if finish == "stop" and self.calls else finish

    @property
    def usage(self) -> dict[str, int]:
        count = self.metadata.get
        prompt = count("promptTokenCount", 0) + count("toolUsePromptTokenCount", 0)
        completion = count("candidatesTokenCount", 0) + count("thoughtsTokenCount", 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": count("totalTokenCount", 0) or prompt + completion,
            "cached_tokens": count("cachedContentTokenCount", 0),
            "reasoning_tokens": count("thoughtsTokenCount", 0),
        }


needs_recordings = pytest.mark.skipif(not recorded_names(), reason="there are no recordings (../shared)")
