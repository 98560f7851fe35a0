"""The output items of one OpenAI response: what each delta opens, adds to and closes, told as events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.translation import dialects
from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)

Event = dict[str, Any]
Item = dict[str, Any]

_CUT_SHORT: Final = frozenset({Finish.LENGTH, Finish.CONTENT_FILTER})
_IMAGE_FORMATS: Final = frozenset({"png", "webp", "jpeg"})


class Output:
    """The items of one response in their order, one open at a time.

    ``thoughts``: the client asked for summaries of the reasoning. ``seals``: it carries encrypted reasoning for us,
    which is where the thought signatures of calls go.
    """

    def __init__(self, name: str, *, thoughts: bool, seals: bool) -> None:
        self.items: list[Item] = []
        self.finish = Finish.STOP
        self._name = name
        self._thoughts = thoughts
        self._seals = seals
        self._open = ""
        self._pieces: list[str] = []
        self._said = 0
        self._said_before = 0

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Event]:
        """Yield the events of some deltas."""
        for delta in dialects.joined(deltas):
            yield from self._events(delta)

    def close(self, *, failed: bool = False) -> Iterator[Event]:
        """Yield the end of the open item, if there is one. ``failed``: more of it should have come."""
        kind, self._open = self._open, ""
        if not kind:
            return
        cut = failed or self.finish in _CUT_SHORT
        item = self._item
        item["status"] = "incomplete" if cut else "completed"
        text = "".join(self._pieces)
        yield from self._end_of_message(text) if kind == "message" else self._end_of_reasoning(text)
        yield self._event("response.output_item.done", item=item)

    @property
    def _item(self) -> Item:
        return self.items[-1]

    def _events(self, delta: Delta) -> Iterator[Event]:
        match delta:
            case TextDelta(text=text):
                yield from self._text(text)
                self._said += len(text)
            case ThoughtDelta(text=text) if self._thoughts:
                yield from self._thought(text)
            case MediaDelta():
                yield from self._media(delta)
            case ToolCallDelta():
                yield from self._call(delta)
            case AnnotationsDelta(annotations=annotations) if self._open == "message":
                yield from self._annotate(annotations)
            case FinishDelta(finish=finish):
                self.finish = finish

    # Text

    def _text(self, text: str) -> Iterator[Event]:
        if self._open != "message":
            yield from self._opened("msg", {"type": "message", "role": "assistant", "content": []})
            self._said_before = self._said
            yield self._in_part("response.content_part.added", part=_part(""))
        self._pieces.append(text)
        yield self._in_part("response.output_text.delta", delta=text, logprobs=[])

    def _annotate(self, annotations: Iterable[Annotation]) -> Iterator[Event]:
        """Yield what backs the open message; pieces of earlier messages are told of no more."""
        noted = self._item.setdefault("noted", [])
        for each in annotations:
            if each.start < self._said_before:
                continue
            place = {"start_index": each.start - self._said_before, "end_index": each.end - self._said_before}
            noted.append({"type": "url_citation", **place, "url": each.source.url, "title": each.source.title})
            yield self._in_part(
                "response.output_text.annotation.added", annotation_index=len(noted) - 1, annotation=noted[-1]
            )

    def _end_of_message(self, text: str) -> Iterator[Event]:
        part = _part(text, self._item.pop("noted", []))
        self._item["content"] = [part]
        yield self._in_part("response.output_text.done", text=text, logprobs=[])
        yield self._in_part("response.content_part.done", part=part)

    def _in_part(self, kind: str, **fields: Any) -> Event:
        return self._in_item(kind, content_index=0, **fields)

    # Thoughts

    def _thought(self, text: str) -> Iterator[Event]:
        if self._open != "reasoning":
            yield from self._opened("rs", {"type": "reasoning", "summary": []})
            yield self._in_summary("response.reasoning_summary_part.added", part=_summary(""))
        self._pieces.append(text)
        yield self._in_summary("response.reasoning_summary_text.delta", delta=text)

    def _end_of_reasoning(self, text: str) -> Iterator[Event]:
        if text:
            self._item["summary"] = [_summary(text)]
            yield self._in_summary("response.reasoning_summary_text.done", text=text)
            yield self._in_summary("response.reasoning_summary_part.done", part=_summary(text))

    def _in_summary(self, kind: str, **fields: Any) -> Event:
        return self._in_item(kind, summary_index=0, **fields)

    # Calls and media

    def _call(self, call: ToolCallDelta) -> Iterator[Event]:
        if call.signature and self._seals:
            if self._open != "reasoning":
                yield from self._opened("rs", {"type": "reasoning", "summary": []})
            self._item["encrypted_content"] = dialects.seal(call.id, call.signature)
        function = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": ""}
        yield from self._opened("fc", function)
        yield self._in_item("response.function_call_arguments.delta", delta=call.arguments)
        yield self._in_item("response.function_call_arguments.done", name=call.name, arguments=call.arguments)
        yield from self._whole(arguments=call.arguments)

    def _media(self, media: MediaDelta) -> Iterator[Event]:
        kind, _slash, form = media.mime.partition("/")
        if kind != "image":
            # There is no kind of item for it; a message of its own keeps it out of the text that is annotated.
            yield from self.close()
            yield from self._text(dialects.link(media))
            yield from self.close()
            return
        image = {"type": "image_generation_call", "result": None}
        yield from self._opened("ig", image)
        yield self._in_item("response.image_generation_call.completed")
        known = {"output_format": form} if form in _IMAGE_FORMATS else {}
        yield from self._whole(result=media.data, **known)

    # Items

    def _opened(self, prefix: str, item: Item) -> Iterator[Event]:
        """Yield the end of the open item and the beginning of the next."""
        yield from self.close()
        item = {"id": f"{prefix}_{self._name}_{len(self.items)}", **item, "status": "in_progress"}
        self.items.append(item)
        self._open = item["type"]
        self._pieces = []
        yield self._event("response.output_item.added", item=dict(item))

    def _whole(self, **fields: Any) -> Iterator[Event]:
        """Yield the end of an item that came at once."""
        self._open = ""
        self._item.update(fields, status="completed")
        yield self._event("response.output_item.done", item=self._item)

    def _in_item(self, kind: str, **fields: Any) -> Event:
        return self._event(kind, item_id=self._item["id"], **fields)

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "output_index": len(self.items) - 1, **fields}


def _part(text: str, annotations: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
