"""Gemini's own dialect over real exchanges: the request reaches Gemini as sent, the answer comes back as given."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from tests.gemini import MODELS, FakeGemini, Model, events
from tests.gemini.replies import Raw, Reply
from tests.service.houses import House
from tests.serving import Server
from tests.shared import SHARED, needs_shared

SSE = (("content-type", "text/event-stream"),)
PLAIN = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
USUAL, EMBEDDER = "gemini-2.5-flash", "gemini-embedding-001"
GENERATES = ("generateContent", "streamGenerateContent", "response-only")
EMBEDS = ("embedContent", "batchEmbedContents")
COUNTS = ("countTokens",)


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange; ``answer`` is a document, a list of events, or the text of a stream."""

    model: str
    verb: str
    request: Any
    answer: Any

    @property
    def events(self) -> list[Any]:
        """The plain reading of the answer: every recorded frame is one line."""
        if isinstance(self.answer, str):
            lines = re.split(r"\r\n|\n|\r", self.answer)
            return [json.loads(line[5:]) for line in lines if line.startswith("data:")]
        return self.answer if isinstance(self.answer, list) else [self.answer]

    @property
    def reply(self) -> Reply:
        """What the fake has to send."""
        return Raw(200, self.answer.encode(), SSE) if isinstance(self.answer, str) else events(*self.events)


@functools.cache
def exchanges() -> dict[str, Exchange]:
    """Every recorded exchange that a verb of ours serves, by name."""
    if SHARED is None:
        return {}
    folder = SHARED / "gemini" / "recordings"
    rows = json.loads((folder / "index.json").read_text())
    served = [row for row in rows if row["status"] == 200 and row["endpoint"] in (*GENERATES, *EMBEDS, *COUNTS)]
    read = {row["name"]: exchange(json.loads((folder / f"{row['name']}.json").read_text())) for row in served}
    # A stream of which the recorder kept nothing is no answer.
    return {name: taken for name, taken in read.items() if taken.events}


def exchange(document: Any) -> Exchange:
    request, answer = document["request"] or {}, document["response"]["body"]
    found = re.search(r"/models/([^:/?]+):(\w+)", request.get("url") or "")
    verb = found[2] if found else _verb_of(answer)
    model = found[1] if found else EMBEDDER if verb in EMBEDS else USUAL
    return Exchange(model, verb, request.get("body") or PLAIN, answer)


def _verb_of(answer: Any) -> str:
    """Of some exchanges the answer alone is known."""
    if isinstance(answer, dict) and "embedding" in answer:
        return "embedContent"
    if isinstance(answer, dict) and "totalTokens" in answer:
        return "countTokens"
    return "streamGenerateContent" if isinstance(answer, str | list) else "generateContent"


def named(choose: Callable[[Exchange], bool]) -> Any:
    names = [name for name, taken in exchanges().items() if choose(taken)]
    return pytest.mark.parametrize("name", names or [pytest.param("none", marks=needs_shared)])


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    known = {model.name for model in MODELS}
    models = [Model(name, name) for name in {taken.model for taken in exchanges().values()} - known]
    embedders = [replace(model, methods=EMBEDS) if "embedding" in model.name else model for model in models]
    # What was recorded was taken by Google: nothing here is about the judge.
    with FakeGemini(models=[*MODELS, *embedders], strict=False) as gemini:
        environment = {"GEMINI_BASE_URL": gemini.url, "MAX_EMPTY_RESPONSES": 0}
        server = Server(tmp_path_factory.mktemp("native"), environment)
        try:
            yield House(gemini, server.start())
        finally:
            server.kill()


@pytest.fixture(scope="module")
def connection(started: House) -> Iterator[httpx.Client]:
    with started.server.client("", headers={"x-goog-api-key": started.server.password}) as client:
        yield client


@pytest.fixture
def stage(started: House) -> House:
    return started.clear()


def post(connection: httpx.Client, taken: Exchange, verb: str) -> httpx.Response:
    return connection.post(f"/v1beta/models/{taken.model}:{verb}", json=taken.request)


def events_in(answered: httpx.Response) -> list[Any]:
    """The events of a stream in Google's own framing."""
    *frames, rest = answered.text.split("\r\n\r\n")
    assert rest == ""
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@named(lambda taken: taken.verb in GENERATES)
def test_an_exchange_passes_unchanged(name: str, stage: House, connection: httpx.Client) -> None:
    taken = exchanges()[name]
    stage.gemini.always(taken.reply)

    server_sent = post(connection, taken, "streamGenerateContent?alt=sse")
    other = post(connection, taken, taken.verb)

    assert (server_sent.status_code, other.status_code) == (200, 200), server_sent.text + other.text
    assert events_in(server_sent) == taken.events
    # A stream without alt=sse is one JSON array.
    assert other.json() == (taken.answer if taken.verb == "generateContent" else taken.events)
    assert stage.gemini.bodies == [taken.request] * 2


@named(lambda taken: taken.verb in EMBEDS)
def test_embeddings_pass_unchanged(name: str, stage: House, connection: httpx.Client) -> None:
    taken = exchanges()[name]
    stage.gemini.always(taken.reply)

    answered = post(connection, taken, taken.verb)

    assert (answered.status_code, answered.json()) == (200, taken.answer)
    assert [call.body for call in stage.gemini.calls if call.method in EMBEDS] == [taken.request]


@named(lambda taken: taken.verb in COUNTS)
def test_counts_pass_unchanged(name: str, stage: House, connection: httpx.Client) -> None:
    taken = exchanges()[name]
    # The fake counts by itself.
    address = f"{stage.gemini.url}/v1beta/models/{taken.model}:countTokens"
    counted = httpx.post(address, json=taken.request, headers={"x-goog-api-key": "any"}, trust_env=False, verify=False)

    answered = post(connection, taken, "countTokens")

    assert (answered.status_code, answered.json()) == (200, counted.json())
    assert [call.body for call in stage.gemini.calls if call.method in COUNTS] == [taken.request] * 2
