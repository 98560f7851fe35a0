"""What a view asks of the relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keys.members import MemberView
from proxy.attempts import Translation
from proxy.runtime import Runtime
from proxy.translation.reply import Translator

Body = bytes | Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as a view hands it over: who asks what of which model, and with which settings.

    ``body`` goes upstream; a function makes it once the request is admitted, and may raise HajimiError.
    ``more_bodies`` go after it, one by one; the answer is made of all of theirs, and comes when each has come.
    ``stream`` is what the client wants, ``upstream_stream`` what we ask of Google. ``count`` calls are answered, and
    each brings ``each`` answers: the product is what the request takes of its limits.
    With ``has_tools`` the thought signatures of calls are kept. With ``passes_empty`` an answer that stays empty
    after all attempts is passed on as it came, for clients that read Google's own words. ``vertex`` is what a call
    to Vertex AI says besides, in its generationConfig; ``studio_body`` is the body for AI Studio keys where that is
    another. With ``goes_on`` an answer may say that it is over and go on later.
    """

    request_id: int
    member: MemberView
    address: str
    dialect: str
    model: str
    upstream_model: str
    runtime: Runtime
    body: Body
    more_bodies: tuple[bytes, ...] = ()
    method: str = "generateContent"
    count: int = 1
    each: int = 1
    stream: bool = False
    upstream_stream: bool = False
    translator: Callable[[], Translation] = Translator
    has_tools: bool = False
    passes_empty: bool = False
    vertex: Mapping[str, Any] = field(default_factory=dict)
    studio_body: bytes | None = None
    goes_on: bool = False
