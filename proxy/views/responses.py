"""OpenAI's responses: HTTP -> plain values -> one exchange -> HTTP."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase

from proxy import refusals, request_id
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.chats import ask_for
from proxy.large import aside
from proxy.paths import Dialect
from proxy.sse import HEARTBEAT
from proxy.translation.invalid import Invalid
from proxy.translation.responses_reply import ResponseEncoder, fold, head
from proxy.translation.responses_request import parse
from proxy.translation.turns import Chat
from proxy.views.answering import collected, streamed
from proxy.views.entrance import document_of, member_of, model_of, runtime_of


async def responses(request: ApiRequest) -> HttpResponseBase:
    """POST /v1/responses: one response, whole or streamed; nothing of it is stored."""
    member = member_of(request)
    runtime = runtime_of(request, member)
    document = await aside(request, document_of, request)
    chat = await aside(request, _chat, document)
    ask = await ask_for(request, member, runtime, chat, model_of(chat.model, runtime), "responses")
    exchange = request.house.relay.exchange(ask)
    response_id = "resp_" + request_id.shown(request.request_id).removeprefix("req_")
    echo = head(document, response_id, chat.model, int(request.started))
    if chat.stream:
        encoder = ResponseEncoder(echo, document)
        return await streamed(
            request, exchange, encoder, runtime.behaviour, dialect=Dialect.OPENAI, heartbeat=HEARTBEAT
        )
    deltas = await collected(request, exchange)
    return answer_json(fold(deltas, exchange.usage, echo, document))


def _chat(document: Any) -> Chat:
    try:
        return parse(document)
    except Invalid as error:
        raise refusals.invalid(error) from None
