"""Gemini's events -> deltas, one at a time, for streamed and whole answers alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from keys.rules import Outcome
from proxy.translation.candidate import Candidate, reason_of, text_of
from proxy.translation.deltas import (
    Annotation,
    AnnotationsDelta,
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    ServedDelta,
    SignatureDelta,
    Source,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)
from proxy.translation.reply_calls import CallRules
from proxy.translation.usage import Usage, read_usage

__all__ = [
    "Annotation",
    "AnnotationsDelta",
    "Delta",
    "Finish",
    "FinishDelta",
    "LogprobsDelta",
    "MediaDelta",
    "ServedDelta",
    "SignatureDelta",
    "Source",
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
}
# The model has broken a rule of its own; asked again, it mostly does not. What came before stands, ended as `stop`.
_MALFORMED: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
_MOST_CANDIDATES: Final = 64


class Translator:
    """Turns the events of one upstream answer into deltas, and says how the answer ended.

    A whole generateContent answer is one event. Shapes that Google never sends are passed over. ``names`` leads from
    Gemini's name of a function to the client's; without ``parallel`` only the first call of a choice counts;
    ``taken`` says whether an id means another call already.
    """

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        *,
        parallel: bool = True,
        taken: Callable[[str], bool] | None = None,
    ) -> None:
        self.response_id = ""
        self.model_version = ""
        self._rules = CallRules(names or {}, parallel, taken)
        self._candidates: dict[int, Candidate] = {}
        self._block_reason = ""
        self._metadata: dict[str, Any] = {}
        self._usage: Usage | None = None

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
        deltas: list[Delta] = []
        for index in sorted(self._candidates) or [0]:
            candidate = self._candidates.get(index)
            if candidate is not None:
                deltas += candidate.close()
            deltas.append(FinishDelta(self._finish_of(candidate), index))
        return deltas

    @property
    def usage(self) -> Usage:
        """The tokens so far: Google's counts are running totals, the last one holds."""
        if self._usage is None:
            self._usage = read_usage(self._metadata)
        return self._usage

    @property
    def visible(self) -> bool:
        """Whether the client has something to see: text that is not blank, a tool call, an image or sound."""
        return any(candidate.visible for candidate in self._candidates.values())

    @property
    def ended(self) -> bool:
        """Whether Google said that it is done; a stream that stops without it was cut."""
        if self._block_reason:
            return True
        # A plain loop: this is asked before each read of a stream.
        for candidate in self._candidates.values():
            if not candidate.reason:
                return False
        return bool(self._candidates)

    @property
    def malformed(self) -> str:
        """Google's word for how the model botched its answer, a tool call mostly; '' when there is one to see."""
        reasons = () if self.visible else (candidate.reason for candidate in self._candidates.values())
        return next((reason for reason in reasons if reason in _MALFORMED), "")

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
            self._metadata, self._usage = usage, None
        if not self.response_id:
            self.response_id = text_of(event.get("responseId"))
        if not self.model_version:
            self.model_version = text_of(event.get("modelVersion"))
        feedback = event.get("promptFeedback")
        if isinstance(feedback, dict):
            self._block_reason = reason_of(feedback.get("blockReason"), numbered=False) or self._block_reason

    def _candidate(self, raw: dict[str, Any], position: int) -> Candidate:
        index = raw.get("index", position)
        if type(index) is not int or not 0 <= index < _MOST_CANDIDATES:
            index = position
        if index not in self._candidates:
            self._candidates[index] = Candidate(index, self._rules)
        return self._candidates[index]

    def _finish_of(self, candidate: Candidate | None) -> Finish:
        if self._block_reason or candidate is None:
            return Finish.CONTENT_FILTER
        known = Finish.STOP if candidate.reason in _MALFORMED else _FINISH.get(candidate.reason)
        if known is None:
            known = Finish.STOP if candidate.visible else Finish.CONTENT_FILTER
        return Finish.TOOL_CALLS if known is Finish.STOP and candidate.calls else known
