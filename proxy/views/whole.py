"""What the endpoints beside chat share: one wish, one model, one whole answer of the relay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import orjson

from keys.members import MemberView
from proxy import errors, refusals
from proxy.api import ApiRequest
from proxy.ask import Ask
from proxy.attempts import Translation
from proxy.runtime import Runtime
from proxy.translation.deltas import Delta
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import Resolved
from proxy.translation.usage import Usage
from proxy.views.answering import collected

T = TypeVar("T")
P = ParamSpec("P")
Sentences = Mapping[type[errors.HajimiError], str]


def understood(read: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Return what ``read`` makes of what the client sent. Raises BadRequest naming the place of a mistake."""
    try:
        return read(*arguments, **options)
    except Invalid as error:
        raise refusals.invalid(error) from None


def ask_for(
    request: ApiRequest,
    member: MemberView,
    runtime: Runtime,
    resolved: Resolved,
    bodies: Sequence[Mapping[str, Any]],
    translator: Callable[[], Translation],
    *,
    method: str = "generateContent",
    count: int = 1,
) -> Ask:
    """Return what the relay is asked: ``count`` answers, or one that several ``bodies`` bring."""
    first, *more = [orjson.dumps(body) for body in bodies]
    return Ask(
        request_id=request.request_id,
        member=member,
        address=request.address,
        dialect="openai",
        model=resolved.asked,
        upstream_model=resolved.name,
        runtime=runtime,
        body=first,
        more_bodies=tuple(more),
        method=method,
        count=count,
        translator=translator,
    )


async def answer_to(request: ApiRequest, ask: Ask, sentences: Sentences) -> tuple[list[Delta], Usage]:
    """Return the whole answer and its tokens. Raises HajimiError.

    ``sentences`` say in the endpoint's own words what the general ones, which speak of text, do not fit.
    """
    exchange = request.house.relay.exchange(ask)
    try:
        return await collected(request, exchange), exchange.usage
    except errors.HajimiError as error:
        error.template = sentences.get(type(error), error.template)
        raise
