"""Deltas -> Anthropic's message, as the events of a stream and as one document. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from proxy.translation import dialects
from proxy.translation.deltas import (
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    MediaDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.usage import Usage

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'

Event = dict[str, Any]

_STOP_REASONS: Final = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
}


class MessageEncoder:
    """Writes the deltas of one answer as Anthropic's events.

    ``thoughts``: the client asked for thinking blocks. ``usage_so_far`` is asked when the message starts.
    """

    def __init__(
        self, message_id: str, model: str, *, thoughts: bool, usage_so_far: Callable[[], Usage] = Usage
    ) -> None:
        self._head = {"id": message_id, "type": "message", "role": "assistant", "model": model, "content": []}
        self._usage_so_far = usage_so_far
        self._blocks = _Blocks(thoughts)
        self._begun = False

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return the events of one batch; the first one starts the message."""
        return self._start() + b"".join(map(_framed, self._blocks.feed(deltas)))

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer: the last block, why it ended, what it used."""
        events = [
            *self._blocks.close(),
            {"type": "message_delta", "delta": self._blocks.ending(), "usage": usage_document(usage)},
            {"type": "message_stop"},
        ]
        return self._start() + b"".join(map(_framed, events))

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off."""
        return dialects.framed("error", document)

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        usage = usage_document(self._usage_so_far())
        message = {**self._head, "stop_reason": None, "stop_sequence": None, "usage": usage}
        return _framed({"type": "message_start", "message": message})


def fold(deltas: Iterable[Delta], usage: Usage, message_id: str, model: str, *, thoughts: bool) -> dict[str, Any]:
    """Return the message of a whole answer: what its events add up to."""
    blocks = _Blocks(thoughts)
    content: list[dict[str, Any]] = []
    for event in (*blocks.feed(deltas), *blocks.close()):
        match event["type"]:
            case "content_block_start":
                content.append(event["content_block"])
            case "content_block_delta":
                _add(content[-1], event["delta"])
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        **blocks.ending(),
        "usage": usage_document(usage),
    }


def usage_document(usage: Usage) -> dict[str, Any]:
    """Return the tokens as Anthropic writes them: what came from a cache is not among the input's."""
    return {
        "input_tokens": max(usage.prompt - usage.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.thoughts},
    }


class _Blocks:
    """The content blocks of one message, one open at a time, and how it ended."""

    def __init__(self, thoughts: bool) -> None:
        self._thoughts = thoughts
        self._open = ""
        self._index = -1
        self._finish = Finish.STOP

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Event]:
        """Yield the events of some deltas."""
        for delta in dialects.joined(deltas):
            yield from self._events(delta)

    def close(self) -> Iterator[Event]:
        """Yield the end of the open block, if there is one."""
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._index}

    def ending(self) -> dict[str, Any]:
        """Return why the message ended."""
        refused = {"type": "refusal", "category": None, "explanation": None}
        return {
            "stop_reason": _STOP_REASONS[self._finish],
            "stop_sequence": None,
            "stop_details": refused if self._finish is Finish.CONTENT_FILTER else None,
        }

    def _events(self, delta: Delta) -> Iterator[Event]:
        match delta:
            case TextDelta(text=text):
                yield from self._text(text)
            case ThoughtDelta(text=text) if self._thoughts:
                yield from self._thinking()
                yield self._delta({"type": "thinking_delta", "thinking": text})
            case MediaDelta():
                yield from self._text(dialects.link(delta))
            case ToolCallDelta():
                yield from self._call(delta)
            case AnnotationsDelta(sources=sources) if self._open == "text":
                yield from map(self._delta, map(_citation, sources))
            case FinishDelta(finish=finish):
                self._finish = finish

    def _text(self, text: str) -> Iterator[Event]:
        yield from self._opened({"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": text})

    def _thinking(self) -> Iterator[Event]:
        return self._opened({"type": "thinking", "thinking": "", "signature": ""})

    def _call(self, call: ToolCallDelta) -> Iterator[Event]:
        if call.signature and self._thoughts:
            yield from self._thinking()
            yield self._delta({"type": "signature_delta", "signature": dialects.seal(call.id, call.signature)})
        yield from self.close()
        yield from self._opened({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})
        yield from self.close()

    def _opened(self, block: dict[str, Any]) -> Iterator[Event]:
        """Yield what makes a block of this kind the open one."""
        if self._open == block["type"]:
            return
        yield from self.close()
        self._open = block["type"]
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: dict[str, Any]) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def _framed(event: Event) -> bytes:
    return dialects.framed(event["type"], event)


def _citation(source: Source) -> dict[str, Any]:
    # Google does not say which words of the page; the whole text block cites it.
    place = {"cited_text": "", "encrypted_index": "", "title": source.title, "url": source.url}
    return {"type": "citations_delta", "citation": {"type": "web_search_result_location", **place}}


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"type": "text_delta", "text": text}:
            block["text"] += text
        case {"type": "thinking_delta", "thinking": text}:
            block["thinking"] += text
        case {"type": "signature_delta", "signature": signature}:
            block["signature"] = signature
        case {"type": "input_json_delta", "partial_json": text}:
            block["input"] = orjson.loads(text)
        case {"type": "citations_delta", "citation": citation}:
            block.setdefault("citations", []).append(citation)
