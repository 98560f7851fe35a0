"""OpenAI's embeddings, from Gemini's batches."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from django.utils.translation import gettext_noop as _

from proxy import errors
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.large import aside
from proxy.translation.embeddings import EmbeddingTranslator, Wish, answer, bodies, parse, vectors_of
from proxy.views.entrance import document_of, member_of, model_of, runtime_of
from proxy.views.whole import Sentences, answer_to, ask_for, understood

METHOD: Final = "batchEmbedContents"
SENTENCES: Final[Sentences] = {
    errors.EmptyAnswer: _("Gemini answered without the embeddings, %(attempts)s times in a row."),
}


async def embeddings(request: ApiRequest) -> HttpResponse:
    """POST /v1/embeddings: one vector for each text, from as many batches as it takes."""
    member = member_of(request)
    wish: Wish = await aside(request, _wish, request)
    runtime = runtime_of(request, member)
    resolved = model_of(wish.model, runtime, METHOD)
    batches = await aside(request, bodies, wish, resolved)
    counts = {len(batch["requests"]) for batch in batches}
    ask = ask_for(
        request,
        member,
        runtime,
        resolved,
        batches,
        lambda: EmbeddingTranslator(counts, base64=wish.base64),
        method=METHOD,
    )
    deltas, usage = await answer_to(request, ask, SENTENCES)
    return answer_json(answer(vectors_of(deltas), usage, wish.model))


def _wish(request: ApiRequest) -> Wish:
    return understood(parse, document_of(request))
