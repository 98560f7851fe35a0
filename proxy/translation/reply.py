"""Gemini's events -> deltas, one at a time, for streamed and whole answers alike. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

import orjson

from keys.rules import Outcome
from proxy.translation.deltas import (
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.logprobs import read_logprobs
from proxy.translation.usage import Usage, read_usage

__all__ = [
    "Delta",
    "Finish",
    "FinishDelta",
    "LogprobsDelta",
    "MediaDelta",
    "TextDelta",
    "ThoughtDelta",
    "ToolCallDelta",
    "Translator",
    "Usage",
]


# Google's word -> OpenAI's. A word that is not here ends a choice with text as `stop`, one without as `content_filter`.
_FINISH: Final = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.LENGTH,
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "LANGUAGE": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
    "ESCALATION": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "IMAGE_RECITATION": Finish.CONTENT_FILTER,
    "IMAGE_OTHER": Finish.CONTENT_FILTER,
    "NO_IMAGE": Finish.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": Finish.STOP,
    "UNEXPECTED_TOOL_CALL": Finish.STOP,
    "TOO_MANY_TOOL_CALLS": Finish.STOP,
    "MISSING_THOUGHT_SIGNATURE": Finish.STOP,
    "MALFORMED_RESPONSE": Finish.STOP,
}
# Where Google writes enums as numbers, its two services agree on these only.
_NUMBERED: Final = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
_UNSPECIFIED: Final = ("FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
_WORD: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_INK: Final = re.compile(r"[^\s\u200b-\u200d\u2060\ufeff]")
_MOST_CANDIDATES: Final = 64
_LONGEST_CALL_ID: Final = 40


class Translator:
    """Turns the events of one upstream answer into deltas, and says how the answer ended.

    A whole generateContent answer is one event. Shapes that Google never sends are passed over.
    """

    def __init__(self) -> None:
        self.response_id = ""
        self.model_version = ""
        self._candidates: dict[int, _Candidate] = {}
        self._block_reason = ""
        self._usage: dict[str, Any] = {}

    def feed(self, event: object) -> list[Delta]:
        """Return what one event adds. Raise ValueError if it is no JSON object."""
        if not isinstance(event, dict):
            raise ValueError("An event of the upstream answer is not a JSON object.")
        self._read_head(event)
        deltas: list[Delta] = []
        candidates = event.get("candidates")
        for position, raw in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(raw, dict) and position < _MOST_CANDIDATES:
                deltas += self._candidate(raw, position).feed(raw)
        return deltas

    def finish(self) -> list[Delta]:
        """Return the end of every choice, of choice 0 at least; call once, when the upstream answer is over."""
        choices = sorted(self._candidates) or [0]
        return [FinishDelta(self._finish_of(self._candidates.get(index)), index) for index in choices]

    @property
    def usage(self) -> Usage:
        """The tokens so far: Google's counts are running totals, the last one holds."""
        return read_usage(self._usage)

    @property
    def visible(self) -> bool:
        """Whether the client has something to see: text that is not blank, a tool call, an image or sound."""
        return any(candidate.visible for candidate in self._candidates.values())

    @property
    def ended(self) -> bool:
        """Whether Google said that it is done; a stream that stops without it was cut."""
        if self._block_reason:
            return True
        return bool(self._candidates) and all(candidate.reason for candidate in self._candidates.values())

    @property
    def category(self) -> str:
        """Google's word for why the prompt was blocked or the answer withheld, or ''."""
        if self._block_reason:
            return self._block_reason
        reasons = (candidate.reason for candidate in self._candidates.values())
        return next((reason for reason in reasons if _FINISH.get(reason) is Finish.CONTENT_FILTER), "")

    def outcome(self) -> Outcome:
        """Say how the answer ended: ANSWERED, BLOCKED, TRUNCATED or EMPTY."""
        if self.visible:
            return Outcome.ANSWERED
        if self.category:
            return Outcome.BLOCKED
        if any(_FINISH.get(candidate.reason) is Finish.LENGTH for candidate in self._candidates.values()):
            return Outcome.TRUNCATED
        return Outcome.EMPTY

    def _read_head(self, event: dict[str, Any]) -> None:
        usage = event.get("usageMetadata")
        if usage and isinstance(usage, dict):
            self._usage = usage
        if not self.response_id:
            self.response_id = _text_of(event.get("responseId"))
        if not self.model_version:
            self.model_version = _text_of(event.get("modelVersion"))
        feedback = event.get("promptFeedback")
        if isinstance(feedback, dict):
            self._block_reason = _reason(feedback.get("blockReason"), {}) or self._block_reason

    def _candidate(self, raw: dict[str, Any], position: int) -> _Candidate:
        index = raw.get("index", position)
        if type(index) is not int or not 0 <= index < _MOST_CANDIDATES:
            index = position
        if index not in self._candidates:
            self._candidates[index] = _Candidate(index)
        return self._candidates[index]

    def _finish_of(self, candidate: _Candidate | None) -> Finish:
        if self._block_reason or candidate is None:
            return Finish.CONTENT_FILTER
        return candidate.finish()


class _Candidate:
    """What has come of one choice; one small method for each kind of part."""

    __slots__ = ("_call_ids", "_held", "index", "reason", "visible")

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason = ""
        self.visible = False
        self._held = ""
        self._call_ids: set[str] = set()

    def feed(self, raw: dict[str, Any]) -> list[Delta]:
        # A reason may come early and again later: the last one holds.
        self.reason = _reason(raw.get("finishReason"), _NUMBERED) or self.reason
        content = raw.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        deltas: list[Delta] = []
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                deltas += self._part(part)
        if "logprobsResult" in raw and (rows := read_logprobs(raw["logprobsResult"])):
            deltas.append(LogprobsDelta(rows, self.index))
        return deltas

    def finish(self) -> Finish:
        known = _FINISH.get(self.reason)
        if known is None:
            known = Finish.STOP if self.visible else Finish.CONTENT_FILTER
        return Finish.TOOL_CALLS if known is Finish.STOP and self._call_ids else known

    def _part(self, part: dict[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        for kind, value in part.items():
            if read := _PART_KINDS.get(kind):
                deltas += read(self, value, bool(part.get("thought")))
        return deltas

    def _text(self, text: object, thought: bool) -> list[Delta]:
        if not isinstance(text, str) or not text:
            return []
        if thought:
            return [ThoughtDelta(text, self.index)]
        if self.visible:
            return [TextDelta(text, self.index)]
        if _INK.search(text) is None:
            # Blank text alone is no answer: it waits for the text it belongs to.
            self._held += text
            return []
        return self._show(TextDelta(self._take_held() + text, self.index))

    def _media(self, media: object, thought: bool) -> list[Delta]:
        # Image models draw drafts while they think; those are no answer.
        data = _text_of(media.get("data")) if isinstance(media, dict) and not thought else ""
        if not data or not isinstance(media, dict):
            return []
        return self._show(MediaDelta(_text_of(media.get("mimeType")) or "image/png", data, self.index))

    def _call(self, call: object, thought: bool) -> list[Delta]:
        name = _text_of(call.get("name")) if isinstance(call, dict) else ""
        if thought or not name or not isinstance(call, dict):
            return []
        order, call_id = len(self._call_ids), self._call_id(call)
        args = call.get("args")
        arguments = orjson.dumps(args).decode() if isinstance(args, dict) else "{}"
        return self._show(ToolCallDelta(call_id, name, arguments, order, self.index))

    def _code(self, code: object, thought: bool) -> list[Delta]:
        if not isinstance(code, dict):
            return []
        language = _text_of(code.get("language")).lower().replace("language_unspecified", "")
        return self._text(_fenced(language, code.get("code")), thought)

    def _code_result(self, result: object, thought: bool) -> list[Delta]:
        return self._text(_fenced("", result.get("output")), thought) if isinstance(result, dict) else []

    def _show(self, delta: Delta) -> list[Delta]:
        held = self._take_held()
        self.visible = True
        return [TextDelta(held, self.index), delta] if held else [delta]

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held

    def _call_id(self, call: dict[str, Any]) -> str:
        # Older models give no id, and nothing says that Google's are unique.
        given = _text_of(call.get("id"))
        if not given or len(given) > _LONGEST_CALL_ID or given in self._call_ids:
            given = f"call_{uuid.uuid4().hex[:24]}"
        self._call_ids.add(given)
        return given


_PART_KINDS: Final[dict[str, Callable[[_Candidate, object, bool], list[Delta]]]] = {
    "text": _Candidate._text,
    "inlineData": _Candidate._media,
    "functionCall": _Candidate._call,
    "executableCode": _Candidate._code,
    "codeExecutionResult": _Candidate._code_result,
}


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def _reason(value: object, numbered: dict[int, str]) -> str:
    """Return one of Google's enum words, '' for none; anything odd is called OTHER."""
    if not value or value in _UNSPECIFIED:
        return ""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return numbered.get(value, "OTHER") if type(value) is int else "OTHER"


def _fenced(language: str, text: object) -> str:
    if not isinstance(text, str) or not text:
        return ""
    return f"\n```{language}\n{text.rstrip()}\n```\n"
