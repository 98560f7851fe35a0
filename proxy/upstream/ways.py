"""Which way leads to Google: by the kind of the key that an attempt was lent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from keys.pool import PoolKey
from proxy.translation.profiles import resolve

# The values of keys.models.Key.Kind.
AI_STUDIO: Final = "ai_studio"
VERTEX_EXPRESS: Final = "vertex_express"
VERTEX_ACCOUNT: Final = "vertex_service_account"


class Answer(Protocol):
    """One call to Google on its way."""

    async def batch(self) -> list[dict[str, Any]]:
        """Return the events of one read, none at the end; the first call sends the request. Raises UpstreamError."""

    async def close(self) -> None:
        """Close the call; one that still runs is cancelled upstream."""


class Upstream(Protocol):
    """How to reach Google: Ways, below, for one."""

    def ask(
        self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: Mapping[str, Any]
    ) -> Answer:
        """Return a call that is not yet sent. ``more`` is what the body of another kind of key's way holds besides."""


class Ways:
    """All ways of a process, by kind of key (keys.models.Key.Kind)."""

    def __init__(self, ways: Mapping[str, Upstream]) -> None:
        self._ways = ways

    def ask(
        self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: Mapping[str, Any]
    ) -> Answer:
        """Return a call with ``key`` that is not yet sent."""
        return self._ways[key.kind].ask(key, model, body, method=method, stream=stream, more=more)


def serves(kind: str, model: str) -> bool:
    """Tell whether keys of this kind can reach a model, as far as its family tells."""
    return kind == AI_STUDIO or _is_on_vertex(model)


@lru_cache(maxsize=1024)
def _is_on_vertex(model: str) -> bool:
    return resolve(model).profile.on_vertex
