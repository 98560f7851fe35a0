"""Deltas -> OpenAI's chat.completion, as chunks of a stream and as one document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import orjson

from proxy.translation.deltas import (
    Delta,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.usage import Usage

DONE: Final = b"data: [DONE]\n\n"


class ChunkEncoder:
    """Writes the deltas of one answer as server-sent chunks, one choice in each.

    All chunks share a head that is serialised once, so a chunk of text costs only its text. With
    ``include_usage`` every chunk carries ``usage: null`` and the counts come in a last one, as from OpenAI.
    """

    def __init__(self, response_id: str, model: str, created: int, include_usage: bool) -> None:
        head = {"id": response_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._envelope = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._text_end = b'},"logprobs":null,"finish_reason":null}' + self._end
        self._include_usage = include_usage
        self._heads: dict[int, bytes] = {}

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return the chunks of one batch; neighbouring texts of one choice share a chunk."""
        return b"".join([self._chunk(delta) for delta in _joined(deltas)])

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer: the usage chunk if it was asked for, then [DONE]."""
        if not self._include_usage:
            return DONE
        return self._envelope + b'],"usage":' + orjson.dumps(usage_document(usage)) + b"}\n\n" + DONE

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off: the error's document as an event, then [DONE]."""
        return b"data: " + orjson.dumps(document) + b"\n\n" + DONE

    def _chunk(self, delta: Delta) -> bytes:
        field = _field(delta)
        return self._head(delta.index, bool(field)) + field + self._tail(delta)

    def _head(self, index: int, more: bool) -> bytes:
        head = self._heads.get(index)
        if head is not None:
            return head
        head = self._envelope + b'{"index":%d,"delta":{' % index
        self._heads[index] = head
        return head + (b'"role":"assistant",' if more else b'"role":"assistant"')

    def _tail(self, delta: Delta) -> bytes:
        match delta:
            case FinishDelta(finish=finish):
                return b'},"logprobs":null,"finish_reason":"' + finish.encode() + b'"}' + self._end
            case LogprobsDelta(rows=rows):
                return b'},"logprobs":' + orjson.dumps(_logprobs_document(rows)) + b',"finish_reason":null}' + self._end
            case _:
                return self._text_end


def fold(deltas: Iterable[Delta], usage: Usage, response_id: str, model: str, created: int) -> dict[str, Any]:
    """Return the chat.completion document of a whole answer: what its chunks add up to."""
    choices: dict[int, _Choice] = {}
    for delta in deltas:
        if delta.index not in choices:
            choices[delta.index] = _Choice(delta.index)
        choices[delta.index].add(delta)
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choices[index].document() for index in sorted(choices)],
        "usage": usage_document(usage),
    }


def usage_document(usage: Usage) -> dict[str, Any]:
    """Return the tokens as OpenAI writes them."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": usage.prompt_audio},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thoughts,
            "audio_tokens": usage.completion_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class _Choice:
    """What one choice of a folded answer holds."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._content: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._finish: str | None = None

    def add(self, delta: Delta) -> None:
        match delta:
            case TextDelta(text=text):
                self._content.append(text)
            case ThoughtDelta(text=text):
                self._thoughts.append(text)
            case MediaDelta():
                self._content.append(_markdown(delta))
            case ToolCallDelta():
                self._calls.append(_call_document(delta))
            case LogprobsDelta(rows=rows):
                self._rows.extend(rows)
            case FinishDelta(finish=finish):
                self._finish = finish.value

    def document(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content) or None, "refusal": None}
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        if self._calls:
            message["tool_calls"] = self._calls
        logprobs = _logprobs_document(tuple(self._rows)) if self._rows else None
        return {"index": self._index, "message": message, "logprobs": logprobs, "finish_reason": self._finish}


def _joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    for (kind, index), run in groupby(deltas, key=_kind_and_choice):
        if kind is TextDelta or kind is ThoughtDelta:
            yield kind("".join([delta.text for delta in run]), index)  # type: ignore[union-attr]
        else:
            yield from run


def _kind_and_choice(delta: Delta) -> tuple[type[Delta], int]:
    return type(delta), delta.index


def _field(delta: Delta) -> bytes:
    match delta:
        case TextDelta(text=text):
            return b'"content":' + orjson.dumps(text)
        case ThoughtDelta(text=text):
            return b'"reasoning_content":' + orjson.dumps(text)
        case MediaDelta():
            return b'"content":' + orjson.dumps(_markdown(delta))
        case ToolCallDelta(order=order):
            return b'"tool_calls":' + orjson.dumps([{"index": order, **_call_document(delta)}])
        case _:
            return b""


def _markdown(media: MediaDelta) -> str:
    # SillyTavern and other chat pages show markdown images; they know no other form of image from this API.
    mark = "!" if media.mime.startswith("image/") else ""
    return f"{mark}[{media.mime.partition('/')[0]}](data:{media.mime};base64,{media.data})"


def _call_document(call: ToolCallDelta) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs_document(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {"content": rows, "refusal": None}
