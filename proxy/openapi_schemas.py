"""The shapes of requests and answers, as OpenAPI 3.1 wants them told. Pure."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": ["boolean", "null"]}
MODEL: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "description": "A model of GET /v1/models, aliases like -search and -thinking-low included.",
    "examples": ["gemini-2.5-flash"],
}


def named(name: str) -> Schema:
    """Return a reference to the shape of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: list[str], *, closed: bool = False, **properties: Schema) -> Schema:
    """Return the shape of an object; one that is not ``closed`` may have further fields."""
    shape: Schema = {"type": "object", "properties": properties, "required": required}
    return shape | {"additionalProperties": False} if closed else shape


def many(items: Schema, **limits: Any) -> Schema:
    """Return the shape of a list."""
    return {"type": "array", "items": items, **limits}


def choice(*words: str) -> Schema:
    """Return the shape of a text that is one of these."""
    return {"type": "string", "enum": list(words)}


def between(least: float, most: float) -> Schema:
    """Return the shape of a number between two, or unset."""
    return {"type": ["number", "null"], "minimum": least, "maximum": most}


_TEXT_PART: Final = record(["type", "text"], closed=True, type=choice("text"), text=TEXT)
_PICTURE: Final = record(
    ["type", "image_url"],
    closed=True,
    type=choice("image_url"),
    image_url=record(
        ["url"],
        closed=True,
        url=TEXT | {"description": "A data: URL; https only with FETCH_MEDIA.", "format": "uri"},
        detail=choice("auto", "low", "high"),
    ),
)

SCHEMAS: Final[dict[str, Schema]] = {
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
    "ChatRequest": record(
        ["model", "messages"],
        model=MODEL,
        messages=many(named("ChatMessage"), minItems=1),
        stream=FLAG,
        stream_options=record([], include_usage=FLAG),
        max_tokens={"type": ["integer", "null"], "minimum": 1},
        temperature=between(0, 2),
        top_p=between(0, 1),
        n={"type": ["integer", "null"], "minimum": 1, "maximum": 8},
        seed={"type": ["integer", "null"], "minimum": -(2**31), "maximum": 2**31 - 1},
        stop={"anyOf": [{"type": "null"}, TEXT, many(TEXT, maxItems=5)]},
        reasoning_effort=choice("none", "minimal", "low", "medium", "high"),
        tools=many(named("Tool"), maxItems=128),
        response_format={"type": "object", "description": "As OpenAI has it: text, json_object or json_schema."},
    ),
    "ChatMessage": record(
        ["role", "content"],
        role=choice("system", "developer", "user", "assistant"),
        content={"anyOf": [TEXT, many({"anyOf": [_TEXT_PART, _PICTURE]}, minItems=1)]},
    ),
    "Tool": record(
        ["type", "function"],
        type=choice("function"),
        function=record(
            ["name"], name={"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]{0,40}$"}, description=TEXT
        ),
    ),
    "Usage": record(
        ["prompt_tokens", "completion_tokens", "total_tokens"],
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        total_tokens=COUNT,
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
    "MessagesRequest": record(
        ["model", "messages", "max_tokens"],
        model=MODEL,
        max_tokens={"type": "integer", "minimum": 1},
        messages=many(record(["role", "content"], role=choice("user", "assistant"), content=TEXT), minItems=1),
        system=TEXT,
        stream=FLAG,
        temperature=between(0, 1),
    ),
    "CountRequest": record(
        ["model", "messages"],
        model=MODEL,
        messages=many(record(["role", "content"], role=choice("user", "assistant"), content=TEXT), minItems=1),
        system=TEXT,
    ),
    "Message": record(
        ["id", "type", "role", "content"], id=TEXT, type=choice("message"), role=TEXT, content=many({"type": "object"})
    ),
    "InputTokens": record(["input_tokens"], input_tokens=COUNT),
    "ResponsesRequest": record(
        ["model", "input"], model=MODEL, input=TEXT | {"minLength": 1}, instructions=TEXT, stream=FLAG
    ),
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
    "RecordWish": record(["count"], closed=True, count={"type": "integer", "minimum": 1, "maximum": 20}),
    "Recordings": record(
        ["left", "until", "recordings"],
        left=COUNT,
        until={"type": ["string", "null"], "format": "date-time"},
        recordings=many(record(["at", "request_id", "path", "status", "request", "answer"])),
    ),
    "Health": record(["status"], status=choice("ok", "unready"), reason=TEXT),
}
