"""The Gemini of a storm (tests.chaos): every answer is one of a kind, and many are faults."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections import Counter, defaultdict
from typing import Any

from tests.gemini import (
    Call,
    FakeGemini,
    answer,
    babble,
    bomb,
    empty,
    end,
    error,
    garbage,
    hang,
    html,
    huge_line,
    interim,
    malformed,
    redirect,
    reset,
)
from tests.gemini.replies import Reply, reply_of
from tests.service.houses import keys

KEYS = keys(24)
DEAD_KEY, TIRED_KEY = KEYS[0], KEYS[1]
PROMPT = re.compile(r"chaos-\d+")

FAULTS: tuple[Any, ...] = (
    *(500, 503, 504, error("internal", array=True)),
    *(reset(), reset(0), reset(2), end(0), end(2), hang(1), hang()),
    *(garbage(), garbage(b"[]"), html(200), html(502), malformed(0), malformed(2), babble(), redirect("http://x/")),
    *(bomb(20), huge_line(2**20, 1), empty(), empty("OTHER")),
)
# These are odd, but answers.
ODD: tuple[dict[str, Any], ...] = ({"drip": 9}, {"fault": interim()}, {"before": 0.5}, {"delay": 0.05}, {"chunks": 1})


class Chaos(FakeGemini):
    """A Gemini whose every answer is one of a kind, and that fails as often as ``fault_share`` says."""

    def __init__(self, seed: int) -> None:
        # A port that stays, for it may be gone for a while and come back.
        super().__init__(port=free_port())
        self.fault_share = 0.3
        self.is_out = False
        self.said: dict[str, list[str]] = defaultdict(list)
        self.asked: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._count = 0
        self._counting = threading.Lock()

    def next_reply(self, call: Call) -> Reply:
        """Take the reply to a call, and remember what it says to which prompt."""
        found = PROMPT.search(str(call.body))
        prompt = found[0] if found else ""
        with self._counting:
            self.asked[prompt] += 1
            self._count += 1
            text = f"{prompt} gets answer {self._count} " + "word " * self._dice.randint(1, 12) + "end"
            return self._reply(call.key, prompt, text)

    def _reply(self, key: str, prompt: str, text: str) -> Reply:
        if self.is_out:
            return reply_of(reset())
        if key == DEAD_KEY:
            return error("suspended")
        if key == TIRED_KEY:
            return error("per_day")
        self.said[prompt].append(text)
        odd = self._dice.choice(ODD) if self._dice.random() < 0.2 else {}
        if self._dice.random() >= self.fault_share:
            return answer(text, **odd)
        fault = reply_of(self._dice.choice(FAULTS))
        # A fault inside an answer needs an answer of ours around it.
        inside = getattr(fault, "fault", None)
        return answer(text, fault=inside) if inside is not None else fault


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
