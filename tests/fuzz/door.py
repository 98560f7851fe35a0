"""Spoiled requests through the door of a running hajimi: no 5xx of ours, nothing slow, memory flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.anything import JSON
from tests.chats import CHATS
from tests.fuzz.parsers import ANTHROPIC, RESPONSES, SIMPLE, resident, spoiled
from tests.service.houses import House

LONGEST_SECONDS = 5.0
FLAT_BYTES = 80 * 2**20
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "unsupported_method"),
)
SPOILED_CHAT = spoiled(CHATS.map(lambda document: document | {"model": "gemini-2.5-flash"}))
DOCUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "/v1/chat/completions": SPOILED_CHAT,
    "/v1/messages": ANTHROPIC,
    "/v1/messages/count_tokens": ANTHROPIC,
    "/v1/responses": RESPONSES,
    "/v1/embeddings": SIMPLE,
    "/v1/images/generations": SIMPLE,
    "/v1/audio/speech": SIMPLE,
    "/v1beta/models/gemini-2.5-flash:generateContent": spoiled(
        st.just({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"temperature": 1}})
    ),
    "/v1beta/models/gemini-2.5-flash:countTokens": JSON,
    "/v1/models/x:streamGenerateContent": JSON,
}
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "origin", "content-type", "x-forwarded-for", "anthropic-version", "user-agent", "te"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    max_size=2,
)


def spoiled_requests(here: House, cases: int) -> None:
    """Send so many; raises at the first answer that must not be."""
    with here.server.client(timeout=30) as client:
        send = _sender(client)
        _try_all(send, len(DOCUMENTS) * 20)
        here.gemini.clear()
        before = resident(here.server.pid)
        _try_all(send, cases)
        here.gemini.clear()
    grown = resident(here.server.pid) - before
    assert grown < FLAT_BYTES, f"the server has grown by {grown / 2**20:.0f} MiB"


def _sender(client: httpx.Client) -> Any:
    def send(path: str, content: bytes, headers: dict[str, str]) -> None:
        began = time.monotonic()
        answer = client.post(path, content=content, headers=headers)
        took = time.monotonic() - began
        said = f"{path} {content[:500]!r} -> {answer.status_code} {answer.text[:500]}"
        # 502 is Google's fault, told in words; the fake Gemini makes it for answers that are empty.
        assert answer.status_code < 500 or answer.json()["error"].get("code") in {"empty_answer", 502}, said
        assert took < LONGEST_SECONDS, f"{took:.1f} s: {said}"
        if answer.status_code >= 400:
            assert isinstance(answer.json()["error"]["message"], str), said

    return send


def _try_all(send: Any, cases: int) -> None:
    for path in DOCUMENTS:
        _try(send, path, -(-cases // len(DOCUMENTS)))


def _try(send: Any, path: str, cases: int) -> None:
    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(DOCUMENTS[path], HEADERS)
    def one(document: Any, headers: dict[str, str]) -> None:
        send(path, _encoded(document), headers)

    one()


def _encoded(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:
        # Half surrogate pairs and huge numbers: written as a careless client would.
        return json.dumps(document).encode()


def schemathesis(here: House, examples: int) -> None:
    """Let schemathesis read /openapi.json and try what follows from it."""
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{here.server.base_url}/openapi.json"),
        *("-H", f"Authorization: Bearer {here.server.password}", "--max-examples", str(examples), "--no-color"),
        *("--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing", "--max-response-time", str(LONGEST_SECONDS), "--workers", "1"),
        *("--request-timeout", "30", "--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"),
        *("--generation-database", "none"),
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
