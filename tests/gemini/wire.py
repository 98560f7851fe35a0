"""An answer as Gemini puts it on the wire: events, the whole document, and the frames of a stream."""

from __future__ import annotations

import itertools
import json
import re
import secrets
from dataclasses import replace
from typing import Any

from tests.gemini.catalog import Model
from tests.gemini.model import Content, Json, as_list, echo, field, prompt_tokens, tokens_of
from tests.gemini.replies import Answer

FRAME_END = b"\r\n\r\n"


def frame(event: Any) -> bytes:
    """Return one event of a stream."""
    return b"data: " + dump(event) + FRAME_END


def dump(document: Any) -> bytes:
    """Return a document as Gemini writes it: UTF-8, not escaped; half of a character is."""
    return json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace")


def events_of(reply: Answer, model: Model, body: Json) -> list[Any]:
    """Return the events of an answer to ``body``, as streamGenerateContent sends them."""
    if reply.events is not None:
        return list(reply.events)
    content = content_of(reply, model, body)
    count = reply.candidates or int(field(field(body, "generationConfig", {}), "candidateCount", 1))
    head = {"modelVersion": model.name, "responseId": secrets.token_urlsafe(17)}
    pieces = _pieces(content, reply.chunks)
    if content.finish == "MAX_TOKENS" and not content.text:
        pieces = [[]]
    built = []
    said = ""
    for position, parts in enumerate(pieces):
        said += "".join(str(part.get("text", "")) for part in parts if not part.get("thought"))
        is_last = position == len(pieces) - 1
        usage = reply.usage or _usage(content, prompt_tokens(body), said, count)
        shown = [_candidate(parts, index, content.finish if is_last else None) for index in range(count)]
        built.append({"candidates": shown, "usageMetadata": usage, **head, **(reply.extra if is_last else {})})
    return built


def content_of(reply: Answer, model: Model, body: Json) -> Content:
    """Return what an answer says: the script's words, or the echo within the limits of the request."""
    if reply.text is None:
        content = echo(model, body)
        return replace(content, thoughts=reply.thoughts or content.thoughts, parts=reply.parts or content.parts)
    thought_tokens = tokens_of(reply.thoughts)
    return Content(reply.text, reply.thoughts, reply.finish, thought_tokens, reply.parts)


def whole(events: list[Any]) -> Any:
    """Return the generateContent document of these events: texts joined, the last usage and finishReason."""
    if len(events) == 1:
        return events[0]
    document = dict(events[-1])
    candidates: dict[int, Json] = {}
    for event in events:
        for candidate in as_list(field(event, "candidates")):
            _join(candidates.setdefault(candidate.get("index", 0), {}), candidate)
    return document | ({"candidates": list(candidates.values())} if candidates else {})


def _join(whole_candidate: Json, candidate: Json) -> None:
    parts = as_list(field(field(whole_candidate, "content"), "parts"))
    for part in as_list(field(field(candidate, "content"), "parts")):
        if parts and set(part) <= {"text", "thought"} and set(part) == set(parts[-1]):
            parts[-1] = parts[-1] | {"text": parts[-1]["text"] + part["text"]}
        elif part.get("text") != "" or not parts:
            parts.append(part)
    whole_candidate.update(candidate)
    whole_candidate["content"] = {"parts": parts, "role": "model"}


def _pieces(content: Content, chunks: int | None) -> list[list[Json]]:
    thoughts = [[{"text": piece, "thought": True}] for piece in _cut(content.thoughts, None, r".+?(?:\n\n|$)")]
    spoken: list[list[Json]] = [[{"text": piece}] for piece in _cut(content.text, chunks, r"\s*\S+\s*$|\s*\S+|\s+$")]
    extra = [[part] for part in content.parts]
    return [*thoughts, *spoken, *extra] or [[{"text": ""}]]


def _cut(text: str, chunks: int | None, pattern: str) -> list[str]:
    if chunks is None:
        return re.findall(pattern, text, re.DOTALL)
    borders = [len(text) * number // chunks for number in range(chunks + 1)]
    return [text[start:end] for start, end in itertools.pairwise(borders) if end > start]


def _candidate(parts: list[Json], index: int, finish: str | None) -> Json:
    content: Json = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: Json = {"content": content}
    if finish:
        candidate["finishReason"] = finish
    return candidate | {"index": index}


def _usage(content: Content, prompt: int, said: str, count: int) -> Json:
    spoken, thought = tokens_of(said) * count, content.thought_tokens
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": spoken,
        "totalTokenCount": prompt + spoken + thought,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "thoughtsTokenCount": thought,
    }
    return {name: value for name, value in usage.items() if value or name in ("promptTokenCount", "totalTokenCount")}
