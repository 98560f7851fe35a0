"""One choice of an answer: its parts -> deltas, one small method for each kind of part. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from proxy.translation.deltas import Delta, LogprobsDelta, MediaDelta, TextDelta, ThoughtDelta
from proxy.translation.grounding import KEYS as GROUNDING_KEYS
from proxy.translation.grounding import Grounding, Said
from proxy.translation.keepsakes import Keepsakes
from proxy.translation.logprobs import read_logprobs
from proxy.translation.reply_calls import CallRules, Calls

Part = dict[str, Any]

# Where Google writes enums as numbers, its two services agree on these only.
_NUMBERED: Final = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
_UNSPECIFIED: Final = ("FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
_WORD: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_FENCES: Final = re.compile(r"`{3,}")
_INK: Final = re.compile(r"[^\s\u200b-\u200d\u2060\ufeff]")


class Candidate:
    """What has come of one choice. ``reason`` is Google's word for its end, '' before that."""

    __slots__ = ("_grounding", "_held", "_keepsakes", "_media_count", "_said", "calls", "index", "reason", "visible")

    def __init__(self, index: int, rules: CallRules) -> None:
        self.index = index
        self.reason = ""
        self.visible = False
        self.calls = Calls(index, rules)
        self._held = ""
        self._said = Said()
        self._media_count = 0
        self._keepsakes = Keepsakes()
        self._grounding: Grounding | None = None

    def feed(self, raw: dict[str, Any]) -> list[Delta]:
        """Return what one event adds to this choice."""
        content = raw.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        deltas: list[Delta] = []
        self._keepsakes.next_event()
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            if isinstance(part, dict):
                deltas += self._part(part, number)
        if "logprobsResult" in raw and (rows := read_logprobs(raw["logprobsResult"])):
            deltas.append(LogprobsDelta(rows, self.index))
        for key in GROUNDING_KEYS:
            if key in raw:
                self._grounding = self._grounding or Grounding()
                self._grounding.feed({key: raw[key]})
        # A reason may come early and again later: the last one holds.
        if "finishReason" in raw and (reason := reason_of(raw["finishReason"], numbered=True)):
            self.reason = reason
            deltas += self._shown(self.calls.close())
        return deltas

    def close(self) -> list[Delta]:
        """Return what can be told only once the choice is whole: its sources, and its text's signature."""
        deltas: list[Delta] = self._shown(self.calls.close()) if self.reason else []
        if not self.visible:
            return deltas
        if self._grounding and (annotations := self._grounding.annotations(self._said, self.index)):
            deltas.append(annotations)
        return deltas + self._keepsakes.deltas(self.calls.first_id, self.index)

    def _part(self, part: Part, number: int) -> list[Delta]:
        if len(part) == 1 and "text" in part:
            return self._text(part, number)
        if part.keys() == {"thoughtSignature"}:
            # An empty text may be left out.
            self._keepsakes.said("", _signature(part))
        deltas: list[Delta] = []
        for kind in part:
            if read := _PART_KINDS.get(kind):
                deltas += read(self, part, number)
        return deltas

    def _text(self, part: Part, number: int) -> list[Delta]:
        text = part["text"]
        if not isinstance(text, str):
            return []
        if part.get("thought"):
            return [ThoughtDelta(text, self.index)] if text else []
        self._keepsakes.said(text, _signature(part))
        return self._say(text, number) if text else []

    def _say(self, text: str, number: int | None) -> list[Delta]:
        self._said.add(text, number)
        if self.visible:
            return [TextDelta(text, self.index)]
        if _INK.search(text) is None:
            # Blank text alone is no answer: it waits for the text it belongs to.
            self._held += text
            return []
        return self._show(TextDelta(self._take_held() + text, self.index))

    def _media(self, part: Part, number: int) -> list[Delta]:
        media = part["inlineData"]
        # Image models draw drafts while they think; those are no answer.
        if not isinstance(media, dict) or part.get("thought") or not (data := text_of(media.get("data"))):
            return []
        mime = text_of(media.get("mimeType")) or "image/png"
        order, self._media_count = self._media_count, self._media_count + 1
        return self._show(MediaDelta(mime, data, self.index, order, self._said.length, _signature(part)))

    def _call(self, part: Part, number: int) -> list[Delta]:
        call = part["functionCall"]
        if not isinstance(call, dict) or part.get("thought"):
            return []
        return self._shown(self.calls.feed(call, _signature(part)))

    def _code(self, part: Part, number: int) -> list[Delta]:
        code = part["executableCode"]
        if not isinstance(code, dict):
            return []
        language = text_of(code.get("language")).lower().replace("language_unspecified", "")
        return self._fenced(language, code.get("code"), part)

    def _code_result(self, part: Part, number: int) -> list[Delta]:
        result = part["codeExecutionResult"]
        return self._fenced("", result.get("output"), part) if isinstance(result, dict) else []

    def _fenced(self, language: str, text: object, part: Part) -> list[Delta]:
        if not isinstance(text, str) or not text:
            return []
        # A fence must be longer than any that stands inside it.
        fence = "`" * max([3, *(len(run) + 1 for run in _FENCES.findall(text))])
        fenced = f"\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
        if part.get("thought"):
            return [ThoughtDelta(fenced, self.index)]
        self._keepsakes.mixed()
        return self._say(fenced, None)

    def _served(self, part: Part, number: int) -> list[Delta]:
        self._keepsakes.served(part, self._said.length, self.calls.count)
        return []

    def _shown(self, deltas: list[Any]) -> list[Delta]:
        return [shown for delta in deltas for shown in self._show(delta)]

    def _show(self, delta: Delta) -> list[Delta]:
        held = self._take_held()
        self.visible = True
        return [TextDelta(held, self.index), delta] if held else [delta]

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held


_PART_KINDS: Final[dict[str, Callable[[Candidate, Part, int], list[Delta]]]] = {
    "text": Candidate._text,
    "inlineData": Candidate._media,
    "functionCall": Candidate._call,
    "executableCode": Candidate._code,
    "codeExecutionResult": Candidate._code_result,
    "toolCall": Candidate._served,
    "toolResponse": Candidate._served,
}


def text_of(value: object) -> str:
    """Return a text as it is, '' for anything else."""
    return value if isinstance(value, str) else ""


def reason_of(value: object, *, numbered: bool) -> str:
    """Return one of Google's enum words, '' for none; anything odd is called OTHER.

    ``numbered`` says that numbers are known for this enum.
    """
    if not value or value in _UNSPECIFIED:
        return ""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return _NUMBERED.get(value, "OTHER") if numbered and type(value) is int else "OTHER"


def _signature(part: Part) -> str | None:
    return text_of(part.get("thoughtSignature")) or None
