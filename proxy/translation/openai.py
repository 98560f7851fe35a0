"""Deltas -> OpenAI's chat.completion, as chunks of a stream and as one document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import orjson

from proxy.translation.deltas import (
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
)
from proxy.translation.openai_fields import PCM, Form, MessageFields, audio_id
from proxy.translation.sound import joined
from proxy.translation.usage import Usage

__all__ = ["DONE", "ChunkEncoder", "Form", "fold", "usage_document"]

DONE: Final = b"data: [DONE]\n\n"


class ChunkEncoder:
    """Writes the deltas of one answer as server-sent chunks, one choice in each.

    All chunks share a head that is serialised once, so a chunk of text costs only its text. With
    ``include_usage`` every chunk carries ``usage: null`` and the counts come in a last one, as from OpenAI.
    The chunks that say how the choices ended go out with what closes the answer: one write less for each stream.
    """

    def __init__(
        self, response_id: str, model: str, created: int, include_usage: bool, form: Form | None = None
    ) -> None:
        head = {"id": response_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._envelope = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._text_end = b'},"logprobs":null,"finish_reason":null}' + self._end
        self._include_usage = include_usage
        self._heads: dict[int, bytes] = {}
        self._form = form or Form()
        self._messages: dict[int, MessageFields] = {}
        self._id, self._created = response_id, created
        self._finishes: list[bytes] = []

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return the chunks of one batch; neighbouring texts of one choice share a chunk."""
        if isinstance(deltas, list) and len(deltas) == 1:
            return self._chunk(deltas[0])
        return b"".join([self._chunk(delta) for delta in _joined(deltas)])

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer: the ends of its choices, the usage if it was asked for, then [DONE]."""
        finishes = b"".join(self._finishes)
        if not self._include_usage:
            return finishes + DONE
        counts = self._envelope + b'],"usage":' + orjson.dumps(usage_document(usage)) + b"}\n\n"
        return finishes + counts + DONE

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off: the error's document as an event, then [DONE]."""
        return b"data: " + orjson.dumps(document) + b"\n\n" + DONE

    def _chunk(self, delta: Delta) -> bytes:
        index = delta.index
        match delta:
            case TextDelta(text=text):
                return self._head(index, True) + b'"content":' + orjson.dumps(text) + self._text_end
            case ThoughtDelta(text=text):
                return self._head(index, True) + b'"reasoning_content":' + orjson.dumps(text) + self._text_end
            case LogprobsDelta(rows=rows):
                tail = b'},"logprobs":' + orjson.dumps(_logprobs_document(rows)) + b',"finish_reason":null}'
                return self._head(index, False) + tail + self._end
            case FinishDelta(finish=finish):
                word = finish_word(finish, self._form).encode()
                tail = b'},"logprobs":null,"finish_reason":"' + word + b'"}' + self._end
                self._finishes.append(self._rich_chunk(delta) + self._head(index, False) + tail)
                return b""
            case _:
                return self._rich_chunk(delta)

    def _rich_chunk(self, delta: Delta) -> bytes:
        """Return the chunk of anything but text; nothing if the client's form has no room for it."""
        index = delta.index
        if index not in self._messages:
            self._messages[index] = MessageFields(self._form, self._id, self._created)
        fields = self._messages[index].of(delta)
        return self._head(index, True) + orjson.dumps(fields)[1:-1] + self._text_end if fields else b""

    def _head(self, index: int, more: bool) -> bytes:
        head = self._heads.get(index)
        if head is not None:
            return head
        head = self._envelope + b'{"index":%d,"delta":{' % index
        self._heads[index] = head
        return head + (b'"role":"assistant",' if more else b'"role":"assistant"')


def fold(
    deltas: Iterable[Delta], usage: Usage, response_id: str, model: str, created: int, form: Form | None = None
) -> dict[str, Any]:
    """Return the chat.completion document of a whole answer: what its chunks add up to."""
    choices: dict[int, _Choice] = {}
    for delta in deltas:
        if delta.index not in choices:
            choices[delta.index] = _Choice(delta.index, form or Form(), response_id, created)
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

    def __init__(self, index: int, form: Form, response_id: str, created: int) -> None:
        self._index = index
        self._form = form
        self._audio = {"id": audio_id(response_id), "expires_at": created, "transcript": ""}
        self._message = MessageFields(form, response_id, created)
        self._texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
        self._more: dict[str, Any] = {}
        self._sound: list[tuple[str, str]] = []
        self._rows: list[dict[str, Any]] = []
        self._finish: str | None = None

    def add(self, delta: Delta) -> None:
        match delta:
            case MediaDelta() if self._form.audio and delta.mime.startswith("audio/"):
                self._sound.append((delta.mime, delta.data))
            case LogprobsDelta(rows=rows):
                self._rows.extend(rows)
            case FinishDelta(finish=finish):
                self._finish = finish_word(finish, self._form)
            case _:
                self._merge(self._message.of(delta))

    def document(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._text("content") or None, "refusal": None}
        if thoughts := self._text("reasoning_content"):
            message["reasoning_content"] = thoughts
        if self._sound:
            message["audio"] = self._audio | {"data": joined(self._sound, bare=self._form.audio == PCM)}
        for call in self._more.get("tool_calls", ()):
            # Only chunks need it.
            del call["index"]
        logprobs = _logprobs_document(tuple(self._rows)) if self._rows else None
        return {
            "index": self._index,
            "message": message | self._more,
            "logprobs": logprobs,
            "finish_reason": self._finish,
        }

    def _merge(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if name in self._texts:
                self._texts[name].append(value)
            elif isinstance(value, list):
                self._more.setdefault(name, []).extend(value)
            else:
                self._more[name] = _united(self._more.get(name), value)

    def _text(self, name: str) -> str:
        return "".join(self._texts[name])


def finish_word(finish: Finish, form: Form) -> str:
    """Return OpenAI's word for how a choice ended, in the client's form."""
    return "function_call" if form.old_functions and finish is Finish.TOOL_CALLS else finish.value


def _joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    for (kind, index), run in groupby(deltas, key=_kind_and_choice):
        if kind is TextDelta or kind is ThoughtDelta:
            yield kind("".join([delta.text for delta in run]), index)  # type: ignore[union-attr]
        else:
            yield from run


def _kind_and_choice(delta: Delta) -> tuple[type[Delta], int]:
    return type(delta), delta.index


def _united(before: Any, value: Any) -> Any:
    """Return what two chunks say in one field: objects are put together, of anything else the later holds."""
    if not (isinstance(before, dict) and isinstance(value, dict)):
        return value
    return before | {name: _united(before.get(name), inner) for name, inner in value.items()}


def _logprobs_document(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {"content": rows, "refusal": None}
