"""The shapes of requests and answers, as OpenAPI 3.1 wants them told. Pure."""

from __future__ import annotations

from typing import Final

from proxy.openapi_dialects import SHAPES
from proxy.openapi_shapes import COUNT, MODEL, TEXT, Schema, choice, many, named, record

SCHEMAS: Final[dict[str, Schema]] = {
    **SHAPES,
    "Error": record(
        ["error"],
        error=record(
            ["message", "type", "param", "code"],
            message=TEXT | {"description": "One plain sentence, with the request's id at its end."},
            type=TEXT,
            param={"type": ["string", "null"], "description": "The field of the request that is wrong."},
            code=TEXT,
        ),
    ),
    "GoogleError": record(
        ["error"], error=record(["code", "message", "status"], code=COUNT, message=TEXT, status=TEXT)
    ),
    "AnthropicError": record(
        ["type", "error", "request_id"],
        type=choice("error"),
        error=record(["type", "message"], type=TEXT, message=TEXT),
        request_id=TEXT,
    ),
    "ChatCompletion": record(
        ["id", "object", "created", "model", "choices", "usage"],
        id=TEXT,
        object=choice("chat.completion"),
        created=COUNT,
        model=TEXT,
        choices=many(record(["index", "message", "finish_reason"], index=COUNT, message={"type": "object"})),
        usage=named("Usage"),
    ),
    "Model": record(["id", "object"], id=TEXT, object=choice("model"), created=COUNT, owned_by=TEXT),
    "Models": record(["object", "data"], object=choice("list"), data=many(named("Model"))),
    "EmbeddingRequest": record(
        ["model", "input"],
        model=MODEL | {"examples": ["gemini-embedding-001"]},
        input={"anyOf": [TEXT | {"minLength": 1}, many(TEXT | {"minLength": 1}, minItems=1, maxItems=2048)]},
        dimensions={"type": ["integer", "null"], "minimum": 1, "maximum": 3072},
        encoding_format=choice("float", "base64"),
    ),
    "Embeddings": record(["object", "data", "model"], object=choice("list"), data=many({"type": "object"}), model=TEXT),
    "ImageRequest": record(
        ["prompt"],
        model=MODEL | {"examples": ["gemini-2.5-flash-image"]},
        prompt=TEXT | {"minLength": 1},
        n={"type": ["integer", "null"], "minimum": 1, "maximum": 10},
        size=TEXT,
        response_format=choice("b64_json", "url"),
    ),
    "Images": record(["created", "data"], created=COUNT, data=many({"type": "object"})),
    "SpeechRequest": record(
        ["model", "input"],
        model=MODEL | {"examples": ["gemini-2.5-flash-preview-tts"]},
        input=TEXT | {"minLength": 1},
        voice=TEXT,
        instructions=TEXT,
        response_format=choice("wav", "pcm"),
    ),
    "TranscriptionRequest": record(
        ["file", "model"],
        file={"type": "string", "contentMediaType": "application/octet-stream"},
        model=MODEL,
        language=TEXT,
        prompt=TEXT,
        response_format=choice("json", "text"),
    ),
    "Transcription": record(["text"], text=TEXT),
    "Message": record(
        ["id", "type", "role", "content"], id=TEXT, type=choice("message"), role=TEXT, content=many({"type": "object"})
    ),
    "InputTokens": record(["input_tokens"], input_tokens=COUNT),
    "Response": record(["id", "object", "output"], id=TEXT, object=choice("response"), output=many({"type": "object"})),
    "GoogleRequest": record(
        [],
        contents=many(
            record(["parts"], role=choice("user", "model"), parts=many(record(["text"], text=TEXT), minItems=1)),
            minItems=1,
        ),
        systemInstruction={"type": "object"},
        generationConfig={"type": "object"},
    ),
    "GoogleAnswer": {"type": "object", "description": "As Google gave it."},
    "GoogleAnswers": many(named("GoogleAnswer")) | {"description": "As Google gave them; events with alt=sse."},
    "RecordWish": record(["count"], count={"type": "integer", "minimum": 1, "maximum": 20}),
    "Recordings": record(
        ["left", "until", "recordings"],
        left=COUNT,
        until={"type": ["string", "null"], "format": "date-time"},
        recordings=many(record(["at", "request_id", "path", "status", "request", "answer"])),
    ),
    "Health": record(["status"], status=choice("ok", "unready"), reason=TEXT),
}
