"""What the API takes and gives, as an OpenAPI 3.1 description. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.openapi_schemas import SCHEMAS
from proxy.openapi_shapes import named

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
FORM: Final = "multipart/form-data"


def _(text: str) -> str:
    """Mark a sentence for translation; the page for people translates it."""
    return text


REFUSALS: Final[Mapping[int, str]] = {
    400: _("The request is wrong; the sentence names the field. Or Google blocked it."),
    401: _("The password is missing or not known here."),
    404: _("The model, or the address, is not known here."),
    405: _("This address takes another method."),
    413: _("The body is larger than MAX_BODY_MB."),
    415: _("The body is compressed."),
    429: _("A limit is reached, all keys rest, or too many wrong passwords came; Retry-After says when it ends."),
    502: _("Google refused, or answered without anything to show."),
    503: _("No key can answer now, or the server starts or stops; Retry-After says when to try again."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing a client can ask for. ``asks`` and ``gets`` name shapes; ``streams`` may come as events."""

    method: str
    path: str
    summary: str
    asks: str = ""
    gets: str = ""
    asks_as: str = JSON
    gets_as: tuple[str, ...] = (JSON,)
    streams: bool = False
    error: str = "Error"
    is_open: bool = False
    may_refuse: tuple[int, ...] = (400, 401, 404, 413, 415, 429, 502, 503)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(piece.partition("}")[0] for piece in self.path.split("{")[1:])


_LOOKS: Final = (400, 401, 404, 429, 503)
_google: Final = {"error": "GoogleError"}
_anthropic: Final = {"error": "AnthropicError"}

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        method="get", path="/v1/models", summary=_("The models that can be used."), gets="Models", may_refuse=_LOOKS
    ),
    Operation(method="get", path="/v1/models/{name}", summary=_("One model."), gets="Model", may_refuse=_LOOKS),
    Operation(
        method="post",
        path="/v1/chat/completions",
        summary=_("A chat in OpenAI's words."),
        asks="ChatRequest",
        gets="ChatCompletion",
        streams=True,
    ),
    Operation(
        method="post",
        path="/v1/responses",
        summary=_("A response in OpenAI's newer words; nothing of it is stored."),
        asks="ResponsesRequest",
        gets="Response",
        streams=True,
    ),
    Operation(
        method="post",
        path="/v1/messages",
        summary=_("A message in Anthropic's words."),
        asks="MessagesRequest",
        gets="Message",
        streams=True,
        **_anthropic,  # type: ignore[arg-type]
    ),
    Operation(
        method="post",
        path="/v1/messages/count_tokens",
        summary=_("How many tokens a message has."),
        asks="CountRequest",
        gets="InputTokens",
        **_anthropic,  # type: ignore[arg-type]
    ),
    Operation(
        method="post",
        path="/v1/embeddings",
        summary=_("Vectors of texts."),
        asks="EmbeddingRequest",
        gets="Embeddings",
    ),
    Operation(
        method="post",
        path="/v1/images/generations",
        summary=_("Images from words."),
        asks="ImageRequest",
        gets="Images",
    ),
    Operation(
        method="post",
        path="/v1/audio/speech",
        summary=_("A text, spoken."),
        asks="SpeechRequest",
        gets_as=("audio/wav", "audio/pcm", "audio/L16"),
    ),
    Operation(
        method="post",
        path="/v1/audio/transcriptions",
        summary=_("What is said in a recording."),
        asks="TranscriptionRequest",
        asks_as=FORM,
        gets="Transcription",
        gets_as=(JSON, "text/plain"),
    ),
    Operation(
        method="post",
        path="/v1/audio/translations",
        summary=_("What is said in a recording, in English."),
        asks="TranscriptionRequest",
        asks_as=FORM,
        gets="Transcription",
        gets_as=(JSON, "text/plain"),
    ),
    Operation(
        method="get",
        path="/v1/me/recordings",
        summary=_("Your recorded requests, which only your password opens."),
        gets="Recordings",
        may_refuse=_LOOKS,
    ),
    Operation(
        method="post",
        path="/v1/me/recordings",
        summary=_("Record your next requests with their answers; after 24 hours they are gone."),
        asks="RecordWish",
        gets="Recordings",
    ),
    Operation(
        method="delete",
        path="/v1/me/recordings",
        summary=_("Record no more, and delete what was recorded."),
        gets="Recordings",
        may_refuse=_LOOKS,
    ),
    Operation(
        method="get",
        path="/v1beta/models",
        summary=_("The models, in Google's words."),
        gets="GoogleAnswer",
        may_refuse=_LOOKS,
        **_google,  # type: ignore[arg-type]
    ),
    Operation(
        method="get",
        path="/v1beta/models/{name}",
        summary=_("One model, in Google's words."),
        gets="GoogleAnswer",
        may_refuse=_LOOKS,
        **_google,  # type: ignore[arg-type]
    ),
    *(
        Operation(
            method="post",
            path=f"/v1beta/models/{{model}}:{verb}",
            summary=summary,
            asks="GoogleRequest",
            gets="GoogleAnswers" if verb.startswith("stream") else "GoogleAnswer",
            streams=verb.startswith("stream"),
            **_google,  # type: ignore[arg-type]
        )
        for verb, summary in (
            ("generateContent", _("An answer as Google gives it.")),
            ("streamGenerateContent", _("An answer as Google gives it, piece by piece.")),
            ("countTokens", _("How many tokens a request has, as Google counts.")),
            ("embedContent", _("The vector of a text, as Google gives it.")),
            ("batchEmbedContents", _("Vectors of several texts, as Google gives them.")),
        )
    ),
    Operation(method="get", path="/healthz", summary=_("Whether this server lives."), gets="Health", is_open=True),
    Operation(
        method="get",
        path="/readyz",
        summary=_("Whether this server can answer."),
        gets="Health",
        is_open=True,
        error="Health",
        may_refuse=(503,),
    ),
)
CREDENTIALS: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "key": {"type": "apiKey", "in": "query", "name": "key"},
}


def document(version: str, url: str) -> dict[str, Any]:
    """Return the whole description of the server at ``url``."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hajimi",
            "version": version,
            "description": "Shares a pool of Gemini keys. Each member sends a password of their own. "
            "The version in a path may be missing, slashes may be doubled.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": CREDENTIALS},
        "security": [{name: []} for name in CREDENTIALS],
    }


def described(operation: Operation) -> dict[str, Any]:
    """Return what OpenAPI says of one operation."""
    told: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _identifier(operation),
        "responses": {"200": _answer(operation)} | _refusals(operation),
    }
    if operation.parameters:
        told["parameters"] = [_parameter(name) for name in operation.parameters]
    if operation.asks:
        content = {operation.asks_as: {"schema": named(operation.asks)}}
        told["requestBody"] = {"required": True, "content": content}
    if operation.is_open:
        told["security"] = []
    return told


def _identifier(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace(":", "/").split("/")
    return "_".join([operation.method, *filter(None, words)])


def _answer(operation: Operation) -> dict[str, Any]:
    schema = named(operation.gets) if operation.gets else {}
    content: dict[str, Any] = {kind: {"schema": schema if kind == JSON else {}} for kind in operation.gets_as}
    if operation.streams:
        content[EVENTS] = {}
    return {"description": "The answer.", "content": content}


def _refusals(operation: Operation) -> dict[str, Any]:
    if operation.is_open and operation.error == "Error":
        return {}
    content = {JSON: {"schema": named(operation.error)}}
    return {str(status): {"description": REFUSALS[status], "content": content} for status in operation.may_refuse}


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "examples": ["gemini-2.5-flash"]}
    return {"name": name, "in": "path", "required": True, "schema": schema}
