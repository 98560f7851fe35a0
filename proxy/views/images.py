"""OpenAI's images, from Gemini's image models or from Imagen."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from django.utils.translation import gettext_noop as _

from proxy import errors
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.attempts import Translation
from proxy.errors import Quoted
from proxy.large import aside
from proxy.translation.images import PredictTranslator, Wish, answer, body, is_imagen, parse
from proxy.translation.invalid import shown
from proxy.translation.profiles import resolve
from proxy.translation.whole import WholeTranslator
from proxy.views.entrance import document_of, member_of, model_of, runtime_of
from proxy.views.whole import Sentences, answer_to, ask_for, understood

SENTENCES: Final[Sentences] = {
    errors.EmptyAnswer: _("Gemini made no image, %(attempts)s times in a row."),
    errors.AnswerTruncated: _("The model spent all its tokens before there was an image."),
}
ONLY_WORDS: Final = _('Gemini made no image, %(attempts)s times in a row; the last time it said: "%(words)s".')


async def generations(request: ApiRequest) -> HttpResponse:
    """POST /v1/images/generations: as many images as were asked for, or as many as Google lets through."""
    member = member_of(request)
    wish: Wish = understood(parse, await aside(request, document_of, request))
    method = "predict" if is_imagen(resolve(wish.model)) else "generateContent"
    runtime = runtime_of(request, member)
    resolved = model_of(wish.model, runtime, method)
    words: list[str] = []

    def translator() -> Translation:
        words.clear()
        return PredictTranslator() if is_imagen(resolved) else WholeTranslator("image", words)

    asked = understood(body, wish, resolved)
    ask = ask_for(request, member, runtime, resolved, [asked], translator, method=method, count=wish.n)
    try:
        deltas, usage = await answer_to(request, ask, SENTENCES)
    except errors.EmptyAnswer as error:
        if words:
            error.template = ONLY_WORDS
            error.values["words"] = Quoted(shown("".join(words).strip()))
        raise
    return answer_json(answer(deltas, usage, wish, int(request.started)))
