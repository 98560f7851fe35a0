"""What every API view does first: who asks, and for which model."""

from __future__ import annotations

import time
from typing import Any

import orjson

from keys.members import MemberView, Throttled, UnknownPassword, credential
from proxy import errors, refusals
from proxy.api import ApiRequest, House
from proxy.errors import Quoted
from proxy.large import check_values
from proxy.recording import Tape
from proxy.runtime import ModelFacts, Runtime
from proxy.translation.profiles import Resolved, resolve


def member_of(request: ApiRequest) -> MemberView:
    """Return the member whose password came with ``request``. Raises WrongPassword or TooManyGuesses."""
    given = credential(request.headers, request.GET)
    member = let_in(request.house, given, request.address)
    request.who, request.member_id = member.name, member.id
    if member.id in request.house.runtime.current.recorded:
        request.tape = Tape(member.id, given or "", request.request_id, request.path, request.body)
    return member


def let_in(house: House, given: str | None, address: str) -> MemberView:
    """Return the member whose password was ``given`` from ``address``. Raises WrongPassword or TooManyGuesses."""
    try:
        return house.doorkeeper.authenticate(given, address, house.runtime.current.members, time.time())
    except Throttled as error:
        raise refusals.too_many_guesses(error.retry_after) from None
    except UnknownPassword:
        raise errors.WrongPassword(refusals.WRONG_PASSWORD if given else refusals.NO_PASSWORD) from None


def runtime_of(request: ApiRequest, member: MemberView) -> Runtime:
    """Return the runtime that serves ``member`` now: everybody's, or with what the member has of its own."""
    return runtime_for(request.house, member)


def runtime_for(house: House, member: MemberView) -> Runtime:
    """Return the same in a house that is at hand."""
    runtime = house.runtime.current
    return runtime if member.own is None else runtime.for_own(member.own)


def document_of(request: ApiRequest) -> Any:
    """Return the JSON of the request's body. Raises BadRequest saying where it breaks."""
    check_values(request.body)
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        values = {"line": error.lineno, "column": error.colno}
        raise errors.BadRequest(refusals.NOT_JSON, values) from None


def model_of(name: str, runtime: Runtime, method: str = "generateContent") -> Resolved:
    """Return what the model name ``name`` stands for.

    Raises UnknownModel when it is unknown, not allowed, or does not know ``method``.
    """
    resolved = resolve(name)
    values = {"model": Quoted(name[:120])}
    if runtime.blocked.matches(name):
        raise errors.UnknownModel(refusals.FORBIDDEN_MODEL, values, param="model")
    if runtime.allowed is not None and not runtime.allowed.matches(name):
        raise errors.UnknownModel(refusals.FORBIDDEN_MODEL, values, param="model")
    facts = runtime.models.get(resolved.name)
    if facts is None and runtime.models and resolved.name not in runtime.behaviour.extra_models:
        raise errors.UnknownModel(refusals.UNKNOWN_MODEL, values, param="model")
    if facts is not None and not _knows(facts, method):
        template = refusals.NOT_A_CHAT_MODEL if method == "generateContent" else refusals.NOT_THIS_METHOD
        raise errors.UnknownModel(template, values | {"method": method}, param="model")
    return resolved


def _knows(facts: ModelFacts, method: str) -> bool:
    # Google's list leaves out that an embedding model also takes batches, and that a chat model counts tokens.
    listed = {"batchEmbedContents": "embedContent", "countTokens": ""}.get(method, method)
    return not listed or listed in facts.methods
