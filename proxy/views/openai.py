"""OpenAI's chat completions: HTTP -> plain values -> one exchange -> HTTP."""

from __future__ import annotations

from django.http.response import HttpResponseBase

from proxy import refusals, request_id
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.chats import ask_for
from proxy.paths import Dialect
from proxy.sse import HEARTBEAT
from proxy.translation.chat import Chat, parse
from proxy.translation.invalid import Invalid
from proxy.translation.openai import ChunkEncoder, fold
from proxy.views.answering import collected, streamed
from proxy.views.entrance import document_of, member_of, model_of


async def chat_completions(request: ApiRequest) -> HttpResponseBase:
    """POST /v1/chat/completions: one answer, whole or streamed."""
    member = member_of(request)
    runtime = request.house.runtime.current
    chat = _chat(request)
    ask = ask_for(request, member, chat, model_of(chat.model, runtime), "openai")
    exchange = request.house.relay.exchange(ask)
    response_id = "chatcmpl-" + request_id.shown(request.request_id).removeprefix("req_")
    created = int(request.started)
    if chat.stream:
        encoder = ChunkEncoder(response_id, chat.model, created, chat.include_usage)
        return await streamed(
            request, exchange, encoder, runtime.behaviour, dialect=Dialect.OPENAI, heartbeat=HEARTBEAT
        )
    deltas = await collected(request, exchange)
    return answer_json(fold(deltas, exchange.usage, response_id, chat.model, created))


def _chat(request: ApiRequest) -> Chat:
    try:
        return parse(document_of(request))
    except Invalid as error:
        raise refusals.invalid(error) from None
