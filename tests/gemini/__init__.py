"""The built-in Gemini simulator."""

from tests.gemini.calls import Call
from tests.gemini.catalog import MODELS, Model
from tests.gemini.making import picture, predictions, sound
from tests.gemini.replies import (
    Answer,
    Error,
    Fault,
    Raw,
    answer,
    blocked,
    comment,
    empty,
    end,
    error,
    events,
    garbage,
    hang,
    html,
    huge_line,
    malformed,
    redirect,
    reset,
    truncated,
    withheld,
)
from tests.gemini.server import FakeGemini

__all__ = [
    "MODELS",
    "Answer",
    "Call",
    "Error",
    "FakeGemini",
    "Fault",
    "Model",
    "Raw",
    "answer",
    "blocked",
    "comment",
    "empty",
    "end",
    "error",
    "events",
    "garbage",
    "hang",
    "html",
    "huge_line",
    "malformed",
    "picture",
    "predictions",
    "redirect",
    "reset",
    "sound",
    "truncated",
    "withheld",
]
