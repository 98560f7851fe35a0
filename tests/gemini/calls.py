"""What the fake remembers of every request it got."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

Ended = Literal["running", "finished", "client_gone", "broken"]


@dataclass
class Call:
    """One request. ``started`` is monotonic seconds; ``in_flight`` counts this one; ``body`` is None for a GET.

    ``ended`` is "finished" when the answer went out whole, "client_gone" when the client hung up first,
    "broken" when the script broke the connection.
    """

    key: str
    key_place: Literal["header", "query", ""]
    method: str
    model: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    in_flight: int = 0
    started: float = field(default_factory=time.monotonic)
    status: int = 0
    ended: Ended = "running"
    sent: int = 0
    on_vertex: bool = False

    @property
    def generates(self) -> bool:
        """Whether this call asks a model for an answer."""
        return self.method in ("generateContent", "streamGenerateContent")


@dataclass
class Quota:
    """Simulated limits of each key and model: requests per minute and per day; None is no limit."""

    rpm: int | None = None
    rpd: int | None = None
    _minute: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _day: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, key: str, model: str, now: float) -> tuple[str, dict[str, float]] | None:
        """Count one request, or return the kind of refusal and its values. ``now`` is monotonic seconds."""
        if self.rpm is None and self.rpd is None:
            return None
        recent = [moment for moment in self._minute.get((key, model), []) if now - moment < 60]
        used = self._day.get((key, model), 0)
        if self.rpd is not None and used >= self.rpd:
            return "per_day", {"limit": self.rpd}
        if self.rpm is not None and len(recent) >= self.rpm:
            return "per_minute", {"limit": self.rpm, "retry": 60 - (now - recent[0])}
        self._minute[key, model] = [*recent, now]
        self._day[key, model] = used + 1
        return None
