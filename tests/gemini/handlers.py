"""Gemini's paths and methods: who may call, what is refused, and which reply is sent."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.gemini import catalog, errors, vertex
from tests.gemini.calls import Call
from tests.gemini.catalog import Model
from tests.gemini.making import predictions
from tests.gemini.model import EMBEDDING_SIZE, as_list, embedding, field, prompt_tokens
from tests.gemini.replies import Answer, Error, Raw, Reply
from tests.gemini.sending import JSON_TYPE, SSE_TYPE, Sender
from tests.gemini.wire import dump, events_of

if TYPE_CHECKING:
    from tests.gemini.server import FakeGemini

LARGEST_BODY = 128 * 2**20
# A model's list row names one method; it answers these as well.
ALSO = {"generateContent": ("streamGenerateContent",), "embedContent": ("batchEmbedContents",)}


def app(gemini: FakeGemini) -> web.Application:
    """Return the web application that answers for ``gemini``."""
    handlers = Handlers(gemini)
    application = web.Application(client_max_size=LARGEST_BODY)
    for version in ("v1beta", "v1", "v1alpha"):
        application.router.add_get(f"/{version}/models", handlers.list_models)
        application.router.add_get(f"/{version}/models/{{model}}", handlers.get_model)
        application.router.add_post(f"/{version}/models/{{model}}:{{method}}", handlers.act)
    application.router.add_post("/token", vertex.TokenServer(gemini).give)
    application.router.add_post(vertex.ACCOUNT_PATH, handlers.act)
    application.router.add_post(vertex.EXPRESS_PATH, handlers.act)
    return application


class Handlers:
    """One coroutine for each path; each notes its call with the fake."""

    def __init__(self, gemini: FakeGemini) -> None:
        self._gemini = gemini

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """GET /models, in pages."""
        call = self._note(request, "listModels", "", None)
        size, token = call.query.get("pageSize", ""), call.query.get("pageToken", "")
        return _done(call, self._door(call) or _json(catalog.page(self._offered(call.key), size, token)))

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        """GET /models/NAME."""
        call = self._note(request, "getModel", request.match_info["model"], None)
        model = catalog.find(self._offered(call.key), call.model)
        return _done(call, self._door(call) or (_json(model.document()) if model else _refuse(call, "model_not_found")))

    async def act(self, request: web.Request) -> web.StreamResponse:
        """POST /models/NAME:METHOD, of the Gemini API or of Vertex AI."""
        document, broken = _parse(await request.read())
        call = self._note(request, request.match_info["method"], request.match_info["model"], document)
        call.on_vertex = "/publishers/google/" in request.path
        self._gemini.enter(call)
        try:
            refusal = self._refusal(call, broken, request.match_info.get("project"))
            return _done(call, refusal) if refusal else await self._reply(call, request)
        except (asyncio.CancelledError, ConnectionError):
            # A connection that ends cancels the handler; aiohttp raises when it writes to one that has ended.
            if call.ended == "running":
                call.ended = "client_gone"
            raise
        finally:
            self._gemini.leave()

    def _refusal(self, call: Call, broken: bool, project: str | None) -> web.Response | None:
        door = vertex.door(self._gemini, call, project) if call.on_vertex else self._door(call)
        if refusal := door or self._missing(call):
            return refusal
        if broken:
            return _json(errors.body(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token."), 400)
        judge = self._gemini.vertex.judge if call.on_vertex else self._gemini.judge
        complaint = judge(call.model, call.body, call.method)
        return _json(complaint, 400) if complaint else None

    async def _reply(self, call: Call, request: web.Request) -> web.StreamResponse:
        if call.method == "countTokens":
            return _done(call, _json(_other_methods(call)))
        reply = self._next(call)
        await asyncio.sleep(reply.before)
        match reply:
            case Error():
                return _done(call, _refuse(call, reply.kind, reply.array, **reply.values))
            case Raw():
                return _done(call, web.Response(status=reply.status, body=reply.data, headers=dict(reply.headers)))
            case Answer():
                return await self._answer(call, request, reply)

    async def _answer(self, call: Call, request: web.Request, reply: Answer) -> web.StreamResponse:
        if reply.held:
            await self._gemini.gate.wait()
        if not call.generates:
            return _done(call, _json(_other_methods(call) if reply.events is None else reply.events[0]))
        model = catalog.find(self._gemini.models, call.model)
        assert model is not None
        return await Sender(call, request, reply, events_of(reply, model, call.body)).send()

    def _next(self, call: Call) -> Reply:
        over = self._gemini.quota.take(call.key, call.model, time.monotonic())
        return Error(over[0], dict(over[1])) if over else self._gemini.next_reply(call)

    def _note(self, request: web.Request, method: str, model: str, body: Any) -> Call:
        query = dict(request.query)
        header = request.headers.get("x-goog-api-key", "")
        key = header or query.get("key", "")
        call = Call(
            key=key,
            key_place="header" if header else "query" if key else "",
            method=method,
            model=model,
            path=request.path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        self._gemini.note(call)
        return call

    def _door(self, call: Call) -> web.Response | None:
        """Refuse a missing or an unknown key."""
        if not call.key:
            return _refuse(call, "no_key")
        known = self._gemini.keys
        return _refuse(call, "invalid_key") if known is not None and call.key not in known else None

    def _missing(self, call: Call) -> web.Response | None:
        """Refuse a model that this key is not offered, or that does not know the method."""
        model = catalog.find(self._offered(call.key), call.model)
        if model and (call.method in model.methods or call.method in ALSO.get(model.methods[0], ())):
            return None
        return _refuse(call, "model_not_found")

    def _offered(self, key: str) -> list[Model]:
        names = self._gemini.offers.get(key)
        return [model for model in self._gemini.models if names is None or model.name in names]


def _parse(data: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(data), False
    except ValueError:
        return data.decode(errors="replace"), True


def _json(document: Any, status: int = 200, content_type: str = JSON_TYPE) -> web.Response:
    return web.Response(status=status, body=dump(document), headers={"content-type": content_type})


def _refuse(call: Call, kind: str, array: bool = False, **values: Any) -> web.Response:
    document = errors.error_body(kind, model=call.model, method=call.method, key=call.key, **values)
    # Google keeps the stream's content type for a plain JSON refusal.
    content_type = SSE_TYPE if call.query.get("alt") == "sse" else JSON_TYPE
    return _json([document] if array else document, document["error"]["code"], content_type)


def _done(call: Call, response: web.Response) -> web.Response:
    call.status, call.ended = response.status, "finished"
    return response


def _other_methods(call: Call) -> Any:
    if call.method == "countTokens":
        total = prompt_tokens(field(call.body, "generateContentRequest", call.body))
        return {"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]}
    if call.method == "embedContent":
        return {"embedding": _vector(call.body)}
    if call.method == "predict":
        return _predictions(call.body)
    return {"embeddings": [_vector(one) for one in as_list(field(call.body, "requests"))]}


def _predictions(request: Any) -> dict[str, Any]:
    count = int(field(field(request, "parameters", {}), "sampleCount", 4))
    prompt = str(field(as_list(field(request, "instances"))[0], "prompt", ""))
    document: dict[str, Any] = predictions(*[prompt] * count).events[0]
    return document


def _vector(request: Any) -> dict[str, Any]:
    size = int(field(request, "outputDimensionality", EMBEDDING_SIZE))
    return {"values": embedding(field(request, "content"), size)}
