"""GET /v1/models and /v1/models/{id}: what this server can serve, in the words of the client that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from django.http import HttpResponse

from proxy import catalogue, errors, refusals
from proxy.api import ApiRequest
from proxy.errors import Quoted
from proxy.paths import Dialect, models_dialect
from proxy.runtime import Runtime
from proxy.views.entrance import member_of, runtime_of

LISTS: Final[dict[Dialect, Callable[..., dict[str, Any]]]] = {
    Dialect.OPENAI: catalogue.openai_list,
    Dialect.GOOGLE: catalogue.google_list,
    Dialect.ANTHROPIC: catalogue.anthropic_list,
}


class _Lists:
    """The serialised lists of one revision: they are asked for far more often than they change."""

    def __init__(self) -> None:
        self._revision = -1
        # By runtime: members with models of their own have lists of their own.
        self._bodies: dict[tuple[Runtime, Dialect, bool], bytes] = {}

    def body(self, runtime: Runtime, dialect: Dialect, everything: bool) -> bytes:
        if runtime.revision != self._revision:
            self._revision, self._bodies = runtime.revision, {}
        body = self._bodies.get((runtime, dialect, everything))
        if body is None:
            body = orjson.dumps(LISTS[dialect](runtime, everything=everything))
            self._bodies[runtime, dialect, everything] = body
        return body


_lists = _Lists()


async def models(request: ApiRequest, dialect: Dialect | None = None) -> HttpResponse:
    """Answer with the chat models, or with ``?all=1`` with every model. Raises NoKeys when nothing can be served."""
    runtime = _entered(request)
    everything = request.GET.get("all", "").lower() in {"1", "true", "yes", "on"}
    return _json(_lists.body(runtime, dialect or _dialect(request), everything))


async def model(request: ApiRequest, name: str, dialect: Dialect | None = None) -> HttpResponse:
    """Answer with one model, which may be written with its aliases. Raises UnknownModel."""
    runtime = _entered(request)
    asked = name.strip().removeprefix("models/")
    if not catalogue.knows(runtime, asked):
        raise errors.UnknownModel(refusals.UNKNOWN_MODEL, {"model": Quoted(asked[:120])}, param="model")
    return _json(orjson.dumps(_document(runtime, asked, dialect or _dialect(request))))


def _entered(request: ApiRequest) -> Runtime:
    runtime = runtime_of(request, member_of(request))
    if all(key.disabled for key in runtime.keys):
        raise errors.NoKeys(refusals.NO_KEYS)
    return runtime


def _document(runtime: Runtime, name: str, dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.OPENAI:
        return catalogue.openai_model(name)
    describe = catalogue.google_model if dialect is Dialect.GOOGLE else catalogue.anthropic_model
    return describe(runtime, name)


def _dialect(request: ApiRequest) -> Dialect:
    return models_dialect(
        anthropic_version="anthropic-version" in request.headers,
        google_credential="x-goog-api-key" in request.headers or "key" in request.GET,
        authorization="authorization" in request.headers,
    )


def _json(body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")
