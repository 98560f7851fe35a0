"""Gemini's own dialect: the body passes through, the pool, limits, retries and logs are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_noop as _

from proxy import errors
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.attempts import Translation
from proxy.errors import Quoted
from proxy.large import aside
from proxy.paths import Dialect
from proxy.relay import Ask
from proxy.runtime import Runtime
from proxy.translation import native_request
from proxy.translation.native import EventEncoder, NativeTranslator, PlainTranslator, only_event
from proxy.translation.profiles import Resolved
from proxy.views.answering import collected, streamed
from proxy.views.entrance import document_of, member_of, model_of, runtime_of

UNKNOWN_VERB: Final = _('The method "%(verb)s" is not served here; these are: %(verbs)s.')
NOT_AN_OBJECT: Final = _("The request body must be a JSON object.")


@dataclass(frozen=True, slots=True)
class Verb:
    """One method of a model: how Google calls it, whether it streams, and what reads its answer."""

    method: str
    streams: bool
    translator: Callable[[], Translation]


VERBS: Final = {
    "generateContent": Verb("generateContent", False, NativeTranslator),
    "streamGenerateContent": Verb("generateContent", True, NativeTranslator),
    "countTokens": Verb("countTokens", False, PlainTranslator),
    "embedContent": Verb("embedContent", False, PlainTranslator),
    "batchEmbedContents": Verb("batchEmbedContents", False, PlainTranslator),
}


async def call(request: ApiRequest, model: str, verb: str) -> HttpResponseBase:
    """POST /v1beta/models/{model}:{verb}: Google's answer as Google gave it."""
    member = member_of(request)
    known = VERBS.get(verb)
    if known is None:
        raise errors.UnknownPath(UNKNOWN_VERB, {"verb": Quoted(verb[:60]), "verbs": ", ".join(VERBS)})
    runtime = runtime_of(request, member)
    resolved = model_of(model, runtime, known.method)
    body, each = await aside(request, _read, request, resolved, known.method, runtime)
    ask = Ask(
        request_id=request.request_id,
        member=member,
        address=request.address,
        dialect="gemini",
        model=model,
        upstream_model=resolved.name,
        runtime=runtime,
        body=body,
        each=each,
        method=known.method,
        stream=known.streams,
        upstream_stream=known.streams,
        translator=known.translator,
        passes_empty=True,
    )
    exchange = request.house.relay.exchange(ask)
    if not known.streams:
        return answer_json(only_event(await collected(request, exchange)))
    sse = request.GET.get("alt") == "sse"
    return await streamed(
        request,
        exchange,
        EventEncoder(sse=sse),
        runtime.behaviour,
        dialect=Dialect.GOOGLE,
        heartbeat=None,
        content_type="text/event-stream" if sse else "application/json; charset=UTF-8",
    )


def _read(request: ApiRequest, resolved: Resolved, method: str, runtime: Runtime) -> tuple[bytes, int]:
    """Return the body as it came, but for what an alias stands for, and how many answers it asks for."""
    document: Any = document_of(request)
    if not isinstance(document, dict):
        raise errors.BadRequest(NOT_AN_OBJECT)
    for name in native_request.models(document):
        model_of(name, runtime, method)
    if method != "generateContent":
        return bytes(request.body), 1
    named = native_request.with_aliases(document, resolved)
    body = bytes(request.body) if named is document else orjson.dumps(named)
    return body, native_request.answers(document)
