"""What of one choice only Gemini can read again: its text's signature, and the parts of Google's own tools. Pure."""

from __future__ import annotations

from typing import Any

from proxy.translation.deltas import Delta, ServedDelta, SignatureDelta
from proxy.translation.turns import ServerPart


class Keepsakes:
    """Follows the parts of one choice.

    A signature belongs to one part of text alone, and clients send a choice's text back as one: the signature goes
    with it only where the text was one part. Events bring it in pieces; two texts in one event are two parts.
    """

    __slots__ = ("_has_text", "_is_cut", "_is_mixed", "_parts", "_signature")

    def __init__(self) -> None:
        self._parts: list[ServerPart] = []
        self._signature: str | None = None
        self._has_text = False
        self._is_cut = False
        self._is_mixed = False

    def next_event(self) -> None:
        """Note that what comes now came in another event: more text may be of the same part."""
        self._has_text = False

    def said(self, text: str, signature: str | None) -> None:
        """Note a piece of visible text. A streamed text's signature may come with any piece, an empty one too."""
        if text:
            self._is_mixed = self._is_mixed or self._has_text
            self._has_text = True
            if self._is_cut:
                # This is another part: what signed the one before does not sign it.
                self._is_cut, self._signature = False, None
        self._signature = signature or self._signature

    def mixed(self) -> None:
        """Note that something goes out as text that Gemini did not say as text."""
        self._is_mixed = True

    def served(self, part: dict[str, Any], at: int, calls: int) -> None:
        """Note a part of a tool of Google's, after ``at`` characters of text and ``calls`` calls."""
        self._parts.append(ServerPart(part, at, calls))
        # Put back, it parts the text before it from the text after it.
        self._is_cut, self._has_text = True, False

    def deltas(self, call_id: str, index: int) -> list[Delta]:
        """Return what the client shall bring back with a whole choice, whose first call is ``call_id``."""
        deltas: list[Delta] = [ServedDelta(tuple(self._parts), call_id, index)] if self._parts else []
        if self._signature and not self._is_mixed:
            deltas.append(SignatureDelta(self._signature, index))
        return deltas
