"""A Gemini that remembers what it signed, and takes a conversation only with its very signatures."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.gemini import FakeGemini, answer
from tests.gemini.errors import Body, body

Json = dict[str, Any]
MISSING = "Function call is missing a thought_signature in functionCall parts."


class SigningGemini:
    """Makes a fake Gemini sign its function calls as Gemini 3 does: the first call of every turn.

    Conversations are told apart by the first words of the user.
    """

    def __init__(self, gemini: FakeGemini) -> None:
        self.gemini = gemini
        self._otherwise = gemini.judge
        self._given: dict[str, list[list[Json]]] = {}
        self._next: dict[str, list[Json]] = {}
        gemini.judge = self._judge

    def clear(self) -> None:
        """Forget every conversation, and the fake's script and calls."""
        self._given.clear()
        self._next.clear()
        self.gemini.clear()

    def calls(self, topic: str, *calls: tuple[str, Json]) -> None:
        """Answer the next request with these function calls, as a turn of the conversation about ``topic``."""
        parts: list[Json] = [
            {"functionCall": {"id": secrets.token_hex(4), "name": name, "args": args}} for name, args in calls
        ]
        parts[0]["thoughtSignature"] = b64encode(secrets.token_bytes(90)).decode()
        self._next[topic] = parts
        self.gemini.replies(answer("", thoughts="I need to look.\n\n", parts=tuple(parts)))

    def _judge(self, model: str, document: Any, method: str) -> Body | None:
        if method not in ("generateContent", "streamGenerateContent"):
            return self._otherwise(model, document, method)
        contents = document["contents"]
        turns = [_called(turn) for role, turn in groupby(contents, itemgetter("role")) if role == "model"]
        topic = contents[0]["parts"][0]["text"]
        given = self._given.setdefault(topic, [])
        if [_facts(parts) for parts in turns if parts] != [_facts(parts) for parts in given]:
            return body(400, "INVALID_ARGUMENT", MISSING)
        if topic in self._next:
            given.append(self._next.pop(topic))
        return self._otherwise(model, document, method)


def _called(turn: Iterable[Json]) -> list[Json]:
    """Return the calls of one turn; some clients send every event of a stream back as a content of its own."""
    return [part for content in turn for part in content["parts"] if "functionCall" in part]


def _facts(parts: list[Json]) -> list[Any]:
    """Return what must come back: Google's own ids may be left out, signatures may not."""
    calls = [part["functionCall"] for part in parts]
    signatures = [part.get("thoughtSignature") for part in parts]
    return [(call["name"], call["args"], signature) for call, signature in zip(calls, signatures, strict=True)]
