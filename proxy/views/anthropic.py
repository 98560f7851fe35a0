"""Anthropic's messages and their tokens: HTTP -> plain values -> one exchange -> HTTP."""

from __future__ import annotations

from dataclasses import replace

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from proxy import refusals, request_id
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.ask import Body
from proxy.chats import ask_for
from proxy.large import aside
from proxy.paths import Dialect
from proxy.translation.anthropic_reply import PING, MessageEncoder, fold
from proxy.translation.anthropic_request import parse
from proxy.translation.invalid import Invalid
from proxy.translation.native import PlainTranslator, only_event
from proxy.translation.turns import Chat
from proxy.views.answering import collected, streamed
from proxy.views.entrance import document_of, member_of, model_of, runtime_of


async def messages(request: ApiRequest) -> HttpResponseBase:
    """POST /v1/messages: one message, whole or streamed."""
    _say_id(request)
    member = member_of(request)
    runtime = runtime_of(request, member)
    chat = await aside(request, _chat, request)
    ask = await ask_for(request, member, runtime, chat, model_of(chat.model, runtime), "anthropic")
    exchange = request.house.relay.exchange(ask)
    message_id = "msg_" + request_id.shown(request.request_id).removeprefix("req_")
    thoughts = bool(chat.include_thoughts)
    if chat.stream:
        encoder = MessageEncoder(message_id, chat.model, thoughts=thoughts, usage_so_far=lambda: exchange.usage)
        return await streamed(request, exchange, encoder, runtime.behaviour, dialect=Dialect.ANTHROPIC, heartbeat=PING)
    deltas = await collected(request, exchange)
    return answer_json(fold(deltas, exchange.usage, message_id, chat.model, thoughts=thoughts))


async def count_tokens(request: ApiRequest) -> HttpResponse:
    """POST /v1/messages/count_tokens: how many tokens a message's input has, by Google's count."""
    _say_id(request)
    member = member_of(request)
    chat = replace(await aside(request, _chat, request, counting=True), stream=False)
    runtime = runtime_of(request, member)
    resolved = model_of(chat.model, runtime, "countTokens")
    ask = await ask_for(request, member, runtime, chat, resolved, "anthropic")
    body = _to_be_counted(ask.body, resolved.name)
    ask = replace(ask, method="countTokens", body=body, translator=PlainTranslator)
    counted = only_event(await collected(request, request.house.relay.exchange(ask)))
    return answer_json({"input_tokens": counted.get("totalTokens", 0)})


def _say_id(request: ApiRequest) -> None:
    """Tell the request's id in the header where Anthropic's clients look for it, in refusals as well."""
    request.answer_headers["request-id"] = request_id.shown(request.request_id)


def _chat(request: ApiRequest, *, counting: bool = False) -> Chat:
    try:
        return parse(document_of(request), counting=counting)
    except Invalid as error:
        raise refusals.invalid(error) from None


def _to_be_counted(body: Body, model: str) -> Body:
    head = b'{"generateContentRequest":{"model":' + orjson.dumps(f"models/{model}") + b","
    if isinstance(body, bytes):
        return head + body[1:] + b"}"

    async def made() -> bytes:
        return head + (await body())[1:] + b"}"

    return made
