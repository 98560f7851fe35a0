"""A delta -> the fields that it adds to an OpenAI message, whole or streamed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.translation import served
from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    FinishDelta,
    MediaDelta,
    ServedDelta,
    SignatureDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.sound import Base64Pieces, is_pcm, playable, rate_of, raw, wav_header

Fields = dict[str, Any]

PCM: Final = "pcm16"
_ESCAPED: Final = str.maketrans({"[": "\\[", "]": "\\]", "\\": "\\\\", "\n": " ", "\r": " "})
_IN_URL: Final = str.maketrans({"(": "%28", ")": "%29", " ": "%20", "<": "%3C", ">": "%3E", "\n": "", "\r": ""})


@dataclass(frozen=True, slots=True)
class Form:
    """How a client wants its answer.

    ``old_functions``: calls as ``function_call``. ``audio``: sound in the ``audio`` field, as "wav" or "pcm16";
    None: as links in the text. ``list_sources``: pages found by search are also listed at the end of the text.
    """

    old_functions: bool = False
    audio: str | None = None
    list_sources: bool = False


class MessageFields:
    """The fields of one choice's message, delta by delta."""

    def __init__(self, form: Form, response_id: str, created: int) -> None:
        self._form = form
        self._audio_id = audio_id(response_id)
        self._created = created
        self._image_count = 0
        self._inserted: list[tuple[int, int]] = []
        self._sound: Base64Pieces | None = None

    def of(self, delta: Delta) -> Fields:
        """Return what ``delta`` adds; {} when that is nothing a client of this form can see."""
        match delta:
            case TextDelta(text=text):
                return {"content": text}
            case ThoughtDelta(text=text):
                return {"reasoning_content": text}
            case MediaDelta():
                return self._media(delta)
            case ToolCallDelta():
                return self._call(delta)
            case SignatureDelta(signature=signature):
                return extra_content(signature)
            case ServedDelta(parts=parts):
                return {"extra_content": {"google": {served.FIELD: served.document(parts)}}}
            case AnnotationsDelta():
                return self._annotations(delta)
            case FinishDelta():
                return self._end_of_sound()
            case _:
                return {}

    def _call(self, call: ToolCallDelta) -> Fields:
        function = {"name": call.name, "arguments": call.arguments}
        if not self._form.old_functions:
            wire = {"index": call.order, "id": call.id, "type": "function", "function": function}
            return {"tool_calls": [wire | extra_content(call.signature)]}
        # The old form has room for one call.
        return {} if call.order else {"function_call": function | extra_content(call.signature)}

    def _media(self, media: MediaDelta) -> Fields:
        if media.mime.startswith("audio/"):
            return self._link(media, *playable(media.mime, media.data)) if not self._form.audio else self._heard(media)
        fields = self._link(media, media.mime, media.data)
        if media.mime.startswith("image/"):
            url = {"url": f"data:{media.mime};base64,{media.data}"}
            image = {"type": "image_url", "image_url": url, "index": self._image_count}
            fields["images"] = [image | extra_content(media.signature)]
            self._image_count += 1
        return fields

    def _link(self, media: MediaDelta, mime: str, data: str) -> Fields:
        # SillyTavern and other chat pages show markdown images; they know no other form of image from this API.
        mark = "!" if mime.startswith("image/") else ""
        link = f"{mark}[{mime.partition('/')[0]}](data:{mime};base64,{data})"
        self._inserted.append((media.at, len(link)))
        return {"content": link}

    def _heard(self, media: MediaDelta) -> Fields:
        begun, self._sound = self._sound, self._sound or Base64Pieces()
        head = b""
        if not begun and is_pcm(media.mime) and self._form.audio != PCM:
            head = wav_header(rate_of(media.mime))
        data = {"data": self._sound.feed(head + raw(media.data))}
        return {"audio": data if begun else {"id": self._audio_id, "transcript": "", **data}}

    def _end_of_sound(self) -> Fields:
        if self._sound is None:
            return {}
        # Nothing is kept here that a later request could name.
        return {"audio": {"data": self._sound.finish(), "expires_at": self._created}}

    def _annotations(self, delta: AnnotationsDelta) -> Fields:
        fields: Fields = {}
        if delta.annotations:
            fields["annotations"] = [self._annotation(one) for one in delta.annotations]
        if self._form.list_sources and (listed := _listed(delta.sources)):
            fields["content"] = listed
        return fields

    def _annotation(self, annotation: Annotation) -> Fields:
        start = annotation.start + sum(length for at, length in self._inserted if at <= annotation.start)
        end = annotation.end + sum(length for at, length in self._inserted if at < annotation.end)
        source = annotation.source
        place = {"start_index": start, "end_index": end, "url": source.url, "title": source.title}
        return {"type": "url_citation", "url_citation": place}


def audio_id(response_id: str) -> str:
    """Return the id of an answer's sound."""
    return "audio_" + response_id.removeprefix("chatcmpl-")


def extra_content(signature: str | None) -> Fields:
    """Return the field that carries a thought signature, as Google's own OpenAI endpoint writes it."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def _listed(sources: tuple[Source, ...]) -> str:
    pages = [source for source in sources if source.url.startswith(("https://", "http://"))]
    lines = [f"{number}. [{_title(page)}]({page.url.translate(_IN_URL)})" for number, page in enumerate(pages, 1)]
    return "\n\n---\n" + "\n".join(lines) + "\n" if lines else ""


def _title(page: Source) -> str:
    return page.title.translate(_ESCAPED)
