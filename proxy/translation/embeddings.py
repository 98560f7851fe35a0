"""OpenAI's embeddings -> Gemini's, in batches, and the vectors back, as numbers or as base64. Pure."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from keys.rules import Outcome
from proxy.translation import reading
from proxy.translation.deltas import Delta, EventDelta
from proxy.translation.dialects import model_name, needed
from proxy.translation.invalid import Invalid, _
from proxy.translation.profiles import Resolved
from proxy.translation.reading import Document
from proxy.translation.usage import Usage, read_usage

# "at most 100 requests can be in one batch": batchEmbedContents. OpenAI takes 2048 texts.
BATCH: Final = 100
MOST_TEXTS: Final = 2048
_MOST_DIMENSIONS: Final = 65_536

_DOCUMENT: Final = "RETRIEVAL_DOCUMENT"
# What a text is for, and how later models are told: ai.google.dev/gemini-api/docs/embeddings#task-types
_PREFIXES: Final = {
    "RETRIEVAL_QUERY": "task: search result | query: ",
    "QUESTION_ANSWERING": "task: question answering | query: ",
    "FACT_VERIFICATION": "task: fact checking | query: ",
    "CODE_RETRIEVAL_QUERY": "task: code retrieval | query: ",
    "CLASSIFICATION": "task: classification | query: ",
    "CLUSTERING": "task: clustering | query: ",
    "SEMANTIC_SIMILARITY": "task: sentence similarity | query: ",
    _DOCUMENT: "title: %s | text: ",
}
_TASKS: Final = {task.lower(): task for task in _PREFIXES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client wants embedded, and how. ``title`` is of documents only."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    base64: bool = False
    task: str | None = None
    title: str | None = None


def parse(document: object) -> Wish:
    """Read the JSON document of a request for embeddings; any mistake of the client's is an Invalid.

    Beside OpenAI's fields Google's ``task_type`` and ``title`` are known. Others, ``user`` among them, are ignored.
    """
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    task = _task(document)
    title = reading.optional_text(document.get("title"), "title")
    if title and task != _DOCUMENT:
        raise Invalid.at("title", _('%(param)s goes with the task_type "RETRIEVAL_DOCUMENT" only.'))
    form = reading.one_of(document.get("encoding_format"), "encoding_format", ("float", "base64"))
    return Wish(
        model=model_name(document.get("model")),
        texts=_texts(document.get("input")),
        dimensions=reading.whole(document.get("dimensions"), "dimensions", 1, _MOST_DIMENSIONS),
        base64=form == "base64",
        task=task,
        title=title,
    )


def _task(document: Document) -> str | None:
    place = "task_type" if document.get("task_type") is not None else "taskType"
    word = reading.one_of(document.get(place), place, tuple(_TASKS))
    return _TASKS[word] if word else None


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value, "input"),)
    found = needed(value, "input")
    if not isinstance(found, list):
        raise Invalid.at("input", _("%(param)s must be a string or a list of strings."))
    if not 0 < len(found) <= MOST_TEXTS:
        raise Invalid.at("input", _("%(param)s must hold between 1 and %(most)s texts."), most=MOST_TEXTS)
    return tuple(_text(each, f"input[{index}]") for index, each in enumerate(found))


def _text(value: Any, place: str) -> str:
    if isinstance(value, list) or (isinstance(value, int) and not isinstance(value, bool)):
        raise Invalid.at(place, _("%(param)s must be text; numbers of tokens mean something to OpenAI's models only."))
    if not (text := reading.text(value, place)):
        raise Invalid.at(place, _("%(param)s is empty."))
    return text


def bodies(wish: Wish, resolved: Resolved) -> list[dict[str, Any]]:
    """Return the bodies of batchEmbedContents that together ask for every text, in order; at least one."""
    requests = [_request(text, wish, resolved) for text in wish.texts]
    return [{"requests": requests[start : start + BATCH]} for start in range(0, len(requests), BATCH)]


def _request(text: str, wish: Wish, resolved: Resolved) -> dict[str, Any]:
    in_words = wish.task is not None and not resolved.profile.task_types
    fields = {
        "model": f"models/{resolved.name}",
        "content": {"parts": [{"text": _prefix(wish) + text if in_words else text}]},
        "outputDimensionality": wish.dimensions,
        "taskType": None if in_words else wish.task,
        "title": None if in_words else wish.title or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _prefix(wish: Wish) -> str:
    prefix = _PREFIXES[wish.task or ""]
    return prefix % (wish.title or "none") if wish.task == _DOCUMENT else prefix


class EmbeddingTranslator:
    """Reads one batch: visible when it has as many vectors as one of ``counts``, each in order.

    Its one delta is an event whose ``embeddings`` are as the client gets them, numbers or base64.
    """

    category = ""
    malformed = ""

    def __init__(self, counts: Collection[int], *, base64: bool) -> None:
        self.visible = False
        self.usage = Usage()
        self._counts = counts
        self._base64 = base64

    @property
    def ended(self) -> bool:
        """Whether the vectors came."""
        return self.visible

    def feed(self, event: object) -> list[Delta]:
        """Return the vectors of an answer; nothing when they are not all there."""
        if not isinstance(event, dict):
            return []
        vectors = [_vector(row, self._base64) for row in _rows(event)]
        self.usage = _usage(event)
        self.visible = len(vectors) in self._counts and None not in vectors
        return [EventDelta({"embeddings": vectors})] if self.visible else []

    def finish(self) -> list[Delta]:
        """Return nothing more."""
        return []

    def outcome(self) -> Outcome:
        """Say how it ended."""
        return Outcome.ANSWERED if self.visible else Outcome.EMPTY


def _rows(event: dict[str, Any]) -> list[Any]:
    """Return what holds each vector: of batchEmbedContents, of embedContent, or of Vertex's predict."""
    if isinstance(event.get("embedding"), dict):
        return [event["embedding"]]
    if isinstance(predictions := event.get("predictions"), list):
        return [each.get("embeddings") if isinstance(each, dict) else None for each in predictions]
    return rows if isinstance(rows := event.get("embeddings"), list) else []


def _vector(row: Any, base64: bool) -> Any:
    """Return one vector as the client gets it, None when it is none."""
    values = row.get("values") if isinstance(row, dict) else None
    if not isinstance(values, list) or not values or not {type(value) for value in values} <= {int, float}:
        return None
    if not base64:
        # Written at once: as Python's numbers, thousands of vectors would take ten times the room.
        return orjson.Fragment(orjson.dumps(values))
    try:
        # OpenAI's SDKs read little-endian float32.
        return b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except (OverflowError, struct.error):
        return None


def _usage(event: dict[str, Any]) -> Usage:
    """Return the tokens, 0 where Google does not count them: it does for its later models only."""
    if isinstance(metadata := event.get("usageMetadata"), dict):
        return read_usage(metadata)
    counts = [row["statistics"].get("token_count") for row in _rows(event) if _has_statistics(row)]
    return sum((read_usage({"promptTokenCount": count}) for count in counts), Usage())


def _has_statistics(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("statistics"), dict)


def vectors_of(deltas: Iterable[Delta]) -> list[Any]:
    """Return the vectors of all batches, in order."""
    events = (delta.event for delta in deltas if isinstance(delta, EventDelta))
    return [vector for event in events for vector in event["embeddings"]]


def answer(vectors: Iterable[Any], usage: Usage, model: str) -> dict[str, Any]:
    """Return OpenAI's list of embeddings."""
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    tokens = {"prompt_tokens": usage.prompt, "total_tokens": usage.total}
    return {"object": "list", "data": rows, "model": model, "usage": tokens}
