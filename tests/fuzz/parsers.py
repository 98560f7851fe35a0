"""Every parser and what it may raise, fed with anything: texts, bytes and JSON that is nearly right."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hajimi_site import environment
from hajimi_site.addresses import Edge, plain
from hajimi_site.websockets import is_ours
from keys import importing, masking, rules
from keys.ledger.windows import PACIFIC, day
from proxy import cors, fetching, paths, request_id, sse
from proxy.routing import Table
from proxy.translation import (
    anthropic_request,
    chat,
    embeddings,
    gemini_schema,
    images,
    ready_schema,
    responses_request,
    schema,
    speech,
    transcriptions,
)
from proxy.translation.invalid import Invalid
from proxy.translation.native import NativeTranslator, PlainTranslator
from proxy.translation.profiles import NamePatterns, resolve
from proxy.translation.reply import Translator
from proxy.translation.request import Options, build
from tests.anything import JSON, NEAR, SCALAR, TEXT, objects, spoiled
from tests.chats import CHATS, FREE_SCHEMAS, SCHEMAS
from tests.fuzz.readers import READERS

LONGEST_SECONDS = 5.0
NOW = datetime(2026, 11, 24, tzinfo=UTC)
FLAT_BYTES = 16 * 2**20
KEPT = 200
# What reads files is slow, and holds nothing between two of them.
KEPT_OF_READERS = 15
LINES = st.text(st.characters(codec="latin-1"), max_size=60)
ADDRESSES = st.sampled_from(["127.0.0.1", "::1", "[::1]:80", "1.2.3.4:5", "fe80::1%eth0", "unknown", "::ffff:1.2.3.4"])
Parser = Callable[[Any], object]


def request_of(document: Any) -> None:
    """Read a chat, and build what is sent upstream for it."""
    read = chat.parse(document)
    for model in ("gemini-2.5-pro", "gemini-2.0-flash", "gemma-3-27b-it"):
        orjson.dumps(build(read, resolve(model), Options()))


def converted(document: Any) -> None:
    """Check a schema as a client's, and convert it for both kinds of models."""
    checked = schema.check(document, "schema")
    orjson.dumps(gemini_schema.converted(checked))
    orjson.dumps(ready_schema.ready(checked))


def answer_of(events: list[Any]) -> None:
    """Translate an answer of these events."""
    for translator in (Translator(), NativeTranslator(), PlainTranslator()):
        for event in events:
            if isinstance(event, dict):
                translator.feed(event)
        translator.finish()
        translator.outcome()


def stream_of(pieces: list[bytes]) -> None:
    """Decode a stream that comes in these pieces."""
    decoder = sse.SseDecoder()
    for piece in pieces:
        decoder.feed(piece)
    decoder.finish()


def form_of(fields: dict[str, str]) -> None:
    """Read the fields of a form with a file."""
    upload = transcriptions.Upload(fields.get("name", ""), fields.get("mime", ""), b"ID3")
    transcriptions.body(transcriptions.parse(fields, upload), resolve("gemini-2.5-flash"))


def setting_of(text: str) -> None:
    """Read one text as every kind of variable."""
    for variable in environment.VARIABLES:
        with contextlib.suppress(environment.BadEnvironment):
            environment._value(variable, {variable.name: text})


def address_of(values: list[str]) -> None:
    """Find out who sent a request with these forwarded addresses."""
    headers = [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in values]
    Edge(["127.0.0.0/8"]).client("127.0.0.1", headers)
    for value in values:
        plain(value)
        is_ours(value, value)


def path_of(text: str) -> None:
    """Find the view at a path."""
    table = Table({"/v1/models/{model}:{verb}": {}, "/v1/models/{name}": {}})
    paths.is_api(text)
    table.find(paths.normalise(text))
    paths.dialect_of(paths.normalise(text))
    cors.Cors(["https://a.example"]).preflight(text, "GET", text)


def words_of(text: str) -> None:
    """Everything that reads a plain text of a person's."""
    importing.parse_keys(text)
    masking.mask(text)
    request_id.parse(text)
    resolve(text)
    NamePatterns((text[:20],)).matches(text)
    fetching.sniff(text.encode(errors="surrogatepass"))


PART = objects("text", "thought", "functionCall", "inlineData", of=NEAR)
EVENT = objects(
    *("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "error"),
    of=NEAR
    | st.lists(
        objects(
            *("content", "finishReason", "index", "groundingMetadata", "logprobsResult", "safetyRatings"),
            of=NEAR | objects("parts", of=NEAR | st.lists(PART, max_size=3)),
        ),
        max_size=2,
    ),
)
ERROR = objects(
    "error", of=NEAR | objects("code", "message", "status", "details", of=NEAR | st.lists(NEAR, max_size=3))
)
ANTHROPIC = objects(
    *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "stop_sequences", "metadata"),
    of=NEAR | st.lists(objects("role", "content", "name", "input_schema", "type", of=NEAR), max_size=3),
)
RESPONSES = objects(
    *("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "stream", "store"),
    of=NEAR | st.lists(objects("role", "content", "type", "call_id", "output", "name", of=NEAR), max_size=3),
)
SIMPLE = objects(
    *("model", "input", "prompt", "n", "size", "voice", "dimensions", "encoding_format", "response_format", "speed"),
    of=NEAR | st.lists(TEXT, max_size=3),
)
PIECES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from([b"data: ", b"\r\n", b"\n\n", b"\r", b'{"a":1}', b"[DONE]", b": x", b"data:{"]),
    max_size=12,
)

# What each parser is fed with, and what it may raise: nothing else may come out.
PARSERS: Mapping[str, tuple[st.SearchStrategy[Any], Parser, tuple[type[Exception], ...]]] = {
    "chats, nearly right": (spoiled(CHATS), request_of, (Invalid,)),
    "chats, anything": (JSON, request_of, (Invalid,)),
    "Anthropic's messages": (ANTHROPIC, anthropic_request.parse, (Invalid,)),
    "OpenAI's responses": (RESPONSES, responses_request.parse, (Invalid,)),
    "embeddings": (SIMPLE, embeddings.parse, (Invalid,)),
    "images": (SIMPLE, images.parse, (Invalid,)),
    "speech": (SIMPLE, speech.parse, (Invalid,)),
    "forms": (
        st.dictionaries(st.sampled_from(["model", "name", "mime", "language", "temperature"]), TEXT),
        form_of,
        (Invalid,),
    ),
    "schemas, nearly right": (spoiled(FREE_SCHEMAS | SCHEMAS), converted, (Invalid,)),
    "schemas, anything": (JSON, converted, (Invalid,)),
    "answers": (st.lists(EVENT, max_size=3), answer_of, (ValueError,)),
    "streams": (PIECES, stream_of, (sse.BadEvent,)),
    "Google's errors": (
        st.tuples(st.integers(400, 599), st.binary(max_size=80) | ERROR.map(lambda it: json.dumps(it).encode())),
        lambda pair: rules.judge(pair[0], pair[1], NOW),
        (),
    ),
    "settings": (LINES, setting_of, ()),
    "addresses": (st.lists(ADDRESSES | LINES, max_size=4), address_of, ()),
    "paths": (st.text(max_size=40) | LINES.map(lambda text: f"/v1/{text}"), path_of, ()),
    "plain texts": (TEXT | LINES, words_of, ()),
    "days": (st.floats(0, 4e9), lambda moment: day(moment, PACIFIC), ()),
    "scalars as chats": (SCALAR, chat.parse, (Invalid,)),
    **READERS,
}


def growth(kept: Mapping[str, list[Any]], rounds: int = 40) -> int:
    """Return by how many bytes this process grows while the parsers read the same cases again and again."""
    _read_all(kept, 3)
    before = resident(os.getpid())
    _read_all(kept, rounds)
    return resident(os.getpid()) - before


def _read_all(kept: Mapping[str, list[Any]], rounds: int) -> None:
    for _ in range(rounds):
        for name, cases in kept.items():
            _strategy, parser, allowed = PARSERS[name]
            for case in cases:
                with contextlib.suppress(*allowed):
                    parser(case)
    gc.collect()


def resident(pid: int) -> int:
    """Return how much memory a process holds now, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def feed(name: str, cases: int, kept: list[Any]) -> float:
    """Feed one parser with so many cases; return the longest time one took. Raises what it must not raise.

    The first of the cases are ``kept``: hypothesis itself remembers all, so that memory is measured afterwards.
    """
    strategy, parser, allowed = PARSERS[name]
    longest, most = 0.0, KEPT_OF_READERS if name in READERS else KEPT

    @settings(
        max_examples=cases, deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def one(case: Any) -> None:
        nonlocal longest
        if len(kept) < most:
            kept.append(deepcopy(case))
        began = time.monotonic()
        with contextlib.suppress(*allowed):
            parser(case)
        longest = max(longest, time.monotonic() - began)

    one()
    return longest
