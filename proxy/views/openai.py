"""OpenAI's chat completions: HTTP -> plain values -> one exchange -> HTTP."""

from __future__ import annotations

from django.http.response import HttpResponseBase

from proxy import refusals, request_id
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.behaviour import Behaviour
from proxy.chats import ask_for
from proxy.large import aside
from proxy.paths import Dialect
from proxy.sse import HEARTBEAT
from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.openai import ChunkEncoder, Form, fold
from proxy.views.answering import collected, streamed
from proxy.views.entrance import document_of, member_of, model_of, runtime_of


async def chat_completions(request: ApiRequest) -> HttpResponseBase:
    """POST /v1/chat/completions: one answer, whole or streamed."""
    member = member_of(request)
    runtime = runtime_of(request, member)
    chat = await aside(request, _chat, request)
    ask = await ask_for(request, member, runtime, chat, model_of(chat.model, runtime), "openai")
    exchange = request.house.relay.exchange(ask)
    response_id = "chatcmpl-" + request_id.shown(request.request_id).removeprefix("req_")
    created, form = int(request.started), _form(chat, runtime.behaviour)
    if chat.stream:
        encoder = ChunkEncoder(response_id, chat.model, created, chat.include_usage, form)
        return await streamed(
            request, exchange, encoder, runtime.behaviour, dialect=Dialect.OPENAI, heartbeat=HEARTBEAT
        )
    deltas = await collected(request, exchange)
    return answer_json(fold(deltas, exchange.usage, response_id, chat.model, created, form))


def _chat(request: ApiRequest) -> Chat:
    try:
        return parse(document_of(request))
    except Invalid as error:
        raise refusals.invalid(error) from None


def _form(chat: Chat, behaviour: Behaviour) -> Form:
    """Return the forms this client wants its answer in."""
    audio = None
    if chat.voice is not None:
        audio = "pcm16" if chat.voice.format == "pcm16" else "wav"
    in_json = chat.json_mode or chat.json_schema is not None
    return Form(old_functions=chat.old_functions, audio=audio, list_sources=behaviour.list_sources and not in_json)
