"""The API's addresses: normalised path -> method -> view."""

from __future__ import annotations

from functools import partial
from typing import Final

from proxy.paths import Dialect
from proxy.routing import Routes
from proxy.views import anthropic, audio, gemini, images, models, recordings
from proxy.views.embeddings import embeddings
from proxy.views.openai import chat_completions
from proxy.views.responses import responses
from proxy.views.unsupported import unsupported

_google_models = partial(models.models, dialect=Dialect.GOOGLE)
_google_model = partial(models.model, dialect=Dialect.GOOGLE)

ROUTES: Final[Routes] = {
    "/v1/models": {"GET": models.models},
    "/v1/chat/completions": {"POST": chat_completions},
    "/v1/completions": {"POST": unsupported},
    "/v1/embeddings": {"POST": embeddings},
    "/v1/images/generations": {"POST": images.generations},
    "/v1/audio/speech": {"POST": audio.speech},
    "/v1/audio/transcriptions": {"POST": audio.transcriptions},
    "/v1/audio/translations": {"POST": audio.translations},
    "/v1/messages": {"POST": anthropic.messages},
    "/v1/messages/count_tokens": {"POST": anthropic.count_tokens},
    "/v1/responses": {"POST": responses},
    "/v1/me/recordings": {"GET": recordings.shelf, "POST": recordings.start, "DELETE": recordings.end},
    "/v1beta/models": {"GET": _google_models},
    "/v1alpha/models": {"GET": _google_models},
    "/v1/models/{model}:{verb}": {"POST": gemini.call},
    "/v1beta/models/{model}:{verb}": {"POST": gemini.call},
    "/v1alpha/models/{model}:{verb}": {"POST": gemini.call},
    "/v1/models/{name}": {"GET": models.model},
    "/v1beta/models/{name}": {"GET": _google_model},
    "/v1alpha/models/{name}": {"GET": _google_model},
}
