"""A chat of any dialect -> what the relay is asked: the body built once, linked media fetched after admission."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from keys.members import MemberView
from proxy import errors, refusals
from proxy.api import ApiRequest
from proxy.ask import Ask, Body
from proxy.behaviour import Behaviour
from proxy.fetching import Unfetchable, fetch
from proxy.large import aside
from proxy.runtime import Runtime
from proxy.signatures import Signatures
from proxy.translation import served, vertex
from proxy.translation.chat import Chat
from proxy.translation.invalid import Invalid
from proxy.translation.media import links, with_fetched
from proxy.translation.profiles import Resolved
from proxy.translation.reply import Translator
from proxy.translation.request import Options, build, call_ids, tool_names
from proxy.translation.turns import ToolCall

LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the body of one chat."""

    chat: Chat
    resolved: Resolved
    runtime: Runtime
    options: Options

    def body(self, chat: Chat) -> bytes:
        try:
            document = orjson.dumps(build(chat, self.resolved, self.options))
        except Invalid as error:
            raise refusals.invalid(error) from error
        # orjson's bytes stay in the buffer they were written in, 4 KB at least; these are kept while the answer runs.
        return bytes(memoryview(document))

    async def body_with_fetched_media(self) -> bytes:
        try:
            return self.body(with_fetched(self.chat, await fetch(links(self.chat))))
        except Unfetchable as error:
            raise refusals.unfetchable(error) from error


async def ask_for(
    request: ApiRequest, member: MemberView, runtime: Runtime, chat: Chat, resolved: Resolved, dialect: str
) -> Ask:
    """Return what the relay is asked for ``chat``. Raises BadRequest when no body can be built for it."""
    signatures = request.house.signatures
    behaviour, ids = runtime.behaviour, call_ids(chat)
    kept = [*ids, *served.keys(chat)] if chat.web_search or resolved.search else ids
    found = await signatures.find(kept, request.started) if kept else {}
    body = await _body(request, _Maker(chat, resolved, runtime, _options(resolved, runtime, found)))
    return Ask(
        request_id=request.request_id,
        member=member,
        address=request.address,
        dialect=dialect,
        model=chat.model,
        upstream_model=resolved.name,
        runtime=runtime,
        body=body,
        count=chat.n,
        stream=chat.stream,
        upstream_stream=chat.stream and not behaviour.fake_streaming,
        translator=_translators(chat, signatures),
        has_tools=bool(chat.tools),
        vertex=vertex.extras(chat, resolved),
    )


def _translators(chat: Chat, signatures: Signatures) -> Callable[[], Translator]:
    """Return what makes the translator of each attempt."""
    if not chat.tools:
        return Translator
    parts = (part for message in chat.messages for part in message.parts)
    names, earlier = tool_names(chat), frozenset(part.id for part in parts if isinstance(part, ToolCall))

    def taken(call_id: str) -> bool:
        return call_id in earlier or call_id in signatures

    return lambda: Translator(names, parallel=chat.parallel_tool_calls, taken=taken)


async def _body(request: ApiRequest, maker: _Maker) -> Body:
    wanted = links(maker.chat)
    if not wanted:
        return await aside(request, maker.body, maker.chat)
    if not maker.runtime.behaviour.fetch_media:
        raise errors.BadRequest(refusals.NO_FETCHING, param=wanted[0].place)
    return maker.body_with_fetched_media


def _options(resolved: Resolved, runtime: Runtime, signatures: Mapping[str, str]) -> Options:
    facts = runtime.models.get(resolved.name)
    return Options(
        random_string=_random_string(runtime.behaviour),
        search_prompt=runtime.behaviour.search_prompt,
        output_token_limit=facts.output_limit if facts else None,
        signatures=signatures,
    )


def _random_string(behaviour: Behaviour) -> str | None:
    if not behaviour.random_string:
        return None
    return "".join(random.choices(LETTERS, k=behaviour.random_string_length))  # noqa: S311 - it guards nothing
