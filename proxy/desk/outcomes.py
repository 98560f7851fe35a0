"""Outcomes in the colour of what they mean."""

from __future__ import annotations

from typing import Final

from django.utils.safestring import SafeString

from proxy.desk import key_columns
from proxy.models import Outcome

_TONES: Final = {
    Outcome.ANSWERED: "good",
    Outcome.LOST_RACE: "",
    Outcome.CANCELLED: "",
    Outcome.REFUSED: "waiting",
    Outcome.RATE_LIMITED: "waiting",
    Outcome.NO_KEY: "waiting",
}


def badge(outcome: str, shown: str, title: str = "") -> SafeString:
    """Return an outcome as a small coloured label."""
    tone = _TONES.get(Outcome(outcome), "bad") if outcome in Outcome.values else ""
    return key_columns.badge(shown, tone, title)
