"""Spoiled requests through the door of a running hajimi: no 5xx of ours, nothing slow, memory flat."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.anything import JSON, spoiled
from tests.chats import CHATS
from tests.fuzz.parsers import ANTHROPIC, RESPONSES, SIMPLE, resident
from tests.service.houses import House

LONGEST_SECONDS = 5.0
# How long a burst of bytes waits for its answer; most are no whole request and get none.
PATIENCE = 0.06
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


# Pieces of HTTP, in and out of order: most of what is sent is nearly a request.
WIRE = st.sampled_from(
    [
        *(
            b"GET / HTTP/1.1\r\n",
            b"GET /v1/models HTTP/1.1\r\n",
            b"POST /v1/chat/completions HTTP/1.1\r\n",
            b"PUT * HTTP/1.0\r\n",
        ),
        *(
            b"GET /ws HTTP/1.1\r\n",
            b"OPTIONS /v1/models HTTP/1.1\r\n",
            b"POST /me HTTP/1.1\r\n",
            b"HEAD /metrics HTTP/1.1\r\n",
        ),
        *(
            b"Host: 127.0.0.1\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Length: 99999999999\r\n",
            b"Content-Length: -1\r\n",
        ),
        *(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n"),
        *(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: x\r\n"),
        *(
            b"Authorization: Bearer swordfish-1\r\n",
            b"Authorization: Basic \xff\r\n",
            b"Cookie: sessionid=\xff; csrftoken=;;=\r\n",
        ),
        *(
            b"X-Forwarded-For: \xff, [::\r\n",
            b"Expect: 100-continue\r\n",
            b"Content-Type: multipart/form-data; boundary=\r\n",
        ),
        *(
            b"Accept-Language: \xff;q=x\r\n",
            b"Origin: http://[\r\n",
            b"Range: bytes=-\r\n",
            b"A" * 20_000,
            b"a: " + b"b" * 9000,
        ),
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"\0",
            b": ",
            b'{"model":"x","messages":[]}',
            b"\x16\x03\x01\x02\x00",
            b"\x81\x05hello",
        ),
    ]
)
OPENINGS = st.tuples(
    st.sampled_from([b"GET ", b"POST ", b"FOO ", b""]),
    st.sampled_from([b"/", b"/v1/models", b"/admin/", b"/me", b"/%ff", b"//", b"/static/%00", b"http://x/", b"*", b"?"])
    | st.binary(max_size=12),
    st.sampled_from([b" HTTP/1.1\r\nHost: 127.0.0.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n"]),
).map(b"".join)
SEGMENTS = st.tuples(OPENINGS | WIRE, st.lists(WIRE | st.binary(max_size=30), max_size=6)).map(
    lambda it: [it[0], *it[1]]
)


def raw_bytes(here: House, cases: int) -> None:
    """Send so many bursts of bytes past any client library; each is answered or hung up on soon, and no 5xx."""
    address = urlsplit(here.server.base_url)
    answered = 0

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(SEGMENTS)
    def one(segments: list[bytes]) -> None:
        nonlocal answered
        began = time.monotonic()
        told = _exchange((address.hostname or "", address.port or 0), segments)
        took = time.monotonic() - began
        assert took < LONGEST_SECONDS, f"{took:.1f} s: {segments}"
        assert not re.search(rb"^HTTP/1\.[01] 5", told, re.MULTILINE), (segments, told[:1000])
        answered += told.startswith(b"HTTP/1.")

    one()
    assert answered > cases // 10, f"only {answered} were answered"
    with here.server.client() as client:
        assert client.get("/v1/models").status_code == 200


def _exchange(address: tuple[str, int], segments: list[bytes]) -> bytes:
    """Send the segments, wait a moment for an answer, hang up halfway, and return all that comes back."""
    told = b""
    with socket.create_connection(address, timeout=PATIENCE) as connection, contextlib.suppress(ConnectionError):
        for segment in segments:
            connection.sendall(segment)
        # Who hangs up at once gets no answer.
        with contextlib.suppress(TimeoutError):
            while piece := connection.recv(65536):
                told += piece
            # It has hung up already.
            return told
        connection.settimeout(2 * LONGEST_SECONDS)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            told += piece
    return told


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
