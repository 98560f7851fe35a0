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
from proxy.ask import Ask
from proxy.attempts import Translation
from proxy.errors import Quoted
from proxy.large import aside
from proxy.paths import Dialect
from proxy.runtime import Runtime
from proxy.translation import native_request
from proxy.translation.native import EventEncoder, NativeTranslator, PlainTranslator, only_event
from proxy.translation.profiles import Resolved
from proxy.translation.vertex import for_ai_studio
from proxy.upstream.ways import AI_STUDIO
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
    kinds = request.house.pool.kinds(resolved.name)
    is_mixed = AI_STUDIO in kinds and len(kinds) > 1
    read = await aside(request, _read, request, resolved, known.method, runtime, is_mixed=is_mixed)
    ask = Ask(
        request_id=request.request_id,
        member=member,
        address=request.address,
        dialect="gemini",
        model=model,
        upstream_model=resolved.name,
        runtime=runtime,
        body=read.body,
        studio_body=read.studio_body,
        goes_on=read.goes_on,
        each=read.answers,
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


@dataclass(frozen=True, slots=True)
class Read:
    """A body to be sent: what goes upstream, what goes to keys of AI Studio instead, how many answers it asks for.

    ``goes_on`` says whether an answer to it may go on after it has said that it is over.
    """

    body: bytes
    studio_body: bytes | None = None
    answers: int = 1
    goes_on: bool = False


def _read(request: ApiRequest, resolved: Resolved, method: str, runtime: Runtime, *, is_mixed: bool) -> Read:
    """Read the body, which stays as it came but for what an alias stands for.

    Where keys of AI Studio and of Vertex AI take turns (``is_mixed``), a field that only Vertex knows would be refused
    by every other key. Where only AI Studio's serve, Google's refusal is the truth, and the body stays as it is.
    """
    document: Any = document_of(request)
    if not isinstance(document, dict):
        raise errors.BadRequest(NOT_AN_OBJECT)
    for name in native_request.models(document):
        model_of(name, runtime, method)
    body, answers = bytes(request.body), 1
    if method == "generateContent":
        named = native_request.with_aliases(document, resolved)
        answers = native_request.answers(document)
        if named is not document:
            document, body = named, orjson.dumps(named)
    studio = for_ai_studio(document) if is_mixed else document
    studio_body = None if studio == document else orjson.dumps(studio)
    return Read(body, studio_body, answers, goes_on=native_request.goes_on(document))
