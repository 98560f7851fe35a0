"""What the translations have in common that let a Translator judge the answer and make something else of it. Pure."""

from __future__ import annotations

from proxy.translation.deltas import Delta
from proxy.translation.reply import Translator
from proxy.translation.usage import Usage


class Judged:
    """Follows an answer with a Translator of its own, ``_judge``; heirs say what is visible and what goes on."""

    def __init__(self) -> None:
        self._judge = Translator()

    @property
    def ended(self) -> bool:
        """Whether Google said that the answer is over."""
        return self._judge.ended

    @property
    def usage(self) -> Usage:
        """The tokens so far."""
        return self._judge.usage

    @property
    def category(self) -> str:
        """Why the answer was blocked, or ''."""
        return self._judge.category

    @property
    def malformed(self) -> str:
        """Google's word for how the model botched its answer, or ''."""
        return self._judge.malformed

    def finish(self) -> list[Delta]:
        """Return nothing: the last event, or the whole answer, brings its end along."""
        return []
