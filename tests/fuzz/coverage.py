"""One target for atheris: ``python -m tests.fuzz.coverage streams -max_total_time=300``."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["proxy.sse", "proxy.translation"]):
    from proxy import sse
    from proxy.translation import gemini_schema, ready_schema, schema
    from proxy.translation.invalid import Invalid

STREAMS = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n',
    b': comment\n\ndata: {"a":\ndata: 1}\n\ndata: [DONE]\n\n',
    b"event: x\rdata: {}\r\r",
)
SCHEMAS = (
    b'{"type":"object","properties":{"a":{"$ref":"#/$defs/B"}},"$defs":{"B":{"anyOf":[{"type":"null"},{"enum":[1]}]}}}',
    b'{"type":["string","null"],"allOf":[{"maxLength":3},{"pattern":"x"}],"items":[{"const":1}]}',
)


def streams(data: bytes) -> None:
    """Decode the same bytes whole and cut: the same events must come out."""
    at, data = (data[0], data[1:]) if data else (0, b"")
    whole, cut = _decoded([data]), _decoded([data[:at], data[at:]])
    assert whole == cut, (whole, cut)


def _decoded(pieces: list[bytes]) -> list[object]:
    decoder, events = sse.SseDecoder(limit_bytes=4096), []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except sse.BadEvent:
        # What came before the bad event is returned first, which the cut may only bring earlier.
        return ["bad"]
    return events


def schemas(data: bytes) -> None:
    """Check and convert whatever JSON this is."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        checked = schema.check(document, "schema")
    except Invalid:
        return
    json.dumps(gemini_schema.converted(checked))
    json.dumps(ready_schema.ready(checked))


def main() -> None:
    target = {"streams": (streams, STREAMS), "schemas": (schemas, SCHEMAS)}[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target[1]):
            (Path(folder) / str(number)).write_bytes(b"\x07" + seed if target[0] is streams else seed)
        atheris.Setup([*sys.argv, "-max_len=2000", "-timeout=5", "-rss_limit_mb=1024", folder], target[0])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
