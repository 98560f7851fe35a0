"""Whole answers of which only one kind of thing counts: an image, a sound, or a text to its end. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from keys.rules import Outcome
from proxy.translation import sound
from proxy.translation.deltas import Delta, Finish, FinishDelta, MediaDelta, TextDelta
from proxy.translation.judged import Judged

Kind = Literal["image", "audio", "text"]


def _is_image(delta: Delta) -> bool:
    return isinstance(delta, MediaDelta) and delta.mime.startswith("image/")


def _is_sound(delta: Delta) -> bool:
    return isinstance(delta, MediaDelta) and delta.mime.startswith("audio/") and bool(sound.raw(delta.data))


def _is_text(delta: Delta) -> bool:
    return isinstance(delta, TextDelta)


_IS: Final[dict[Kind, Callable[[Delta], bool]]] = {"image": _is_image, "audio": _is_sound, "text": _is_text}


class WholeTranslator(Judged):
    """Judges a whole generateContent answer by what of ``kind`` is in it; ``words`` gathers what was said beside.

    Sound or text that ends too early is no answer, since nothing in its format says so; an image is whole or not there.
    """

    def __init__(self, kind: Kind, words: list[str] | None = None) -> None:
        super().__init__()
        self._is_wanted = _IS[kind]
        self._may_be_cut = kind == "image"
        self._words = [] if words is None else words
        self._finish: Finish | None = None
        self._found = False

    @property
    def visible(self) -> bool:
        """Whether what was asked for has come, whole."""
        return self._found and (self._may_be_cut or self._finish is Finish.STOP)

    def feed(self, event: object) -> list[Delta]:
        """Return what the answer holds, its end included. Raises ValueError if it is no JSON object."""
        deltas = [delta for delta in (*self._judge.feed(event), *self._judge.finish()) if delta.index == 0]
        self._found = any(map(self._is_wanted, deltas))
        for delta in deltas:
            if isinstance(delta, FinishDelta):
                self._finish = delta.finish
            elif isinstance(delta, TextDelta):
                self._words.append(delta.text)
        return deltas

    def outcome(self) -> Outcome:
        """Say how the answer ended."""
        if self.visible:
            return Outcome.ANSWERED
        if self.category:
            return Outcome.BLOCKED
        return Outcome.TRUNCATED if self._finish is Finish.LENGTH else Outcome.EMPTY
