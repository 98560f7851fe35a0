"""Everything that one process, or one command, needs to reach Google: a way for each kind of key, opened and closed."""

from __future__ import annotations

import asyncio
from typing import Self

from keys.pool import PoolKey
from proxy.upstream import vertex
from proxy.upstream.ai_studio import AiStudio
from proxy.upstream.client import Wire
from proxy.upstream.places import Places
from proxy.upstream.tokens import Tokens
from proxy.upstream.ways import AI_STUDIO, VERTEX_ACCOUNT, VERTEX_EXPRESS, Ways


class Reach:
    """The ways to Google, each with connections of its own: proxies may differ from host to host.

    ``client`` speaks httpx to the Gemini API, for what is asked rarely. Made anywhere, used in one event loop.
    """

    def __init__(self, places: Places) -> None:
        express_url = places.vertex_base_url or vertex.GLOBAL_HOST
        account_url = places.vertex_base_url or vertex.base_url(places.vertex_location)
        studio, express, account = self._wires = Wire(places.base_url), Wire(express_url), Wire(account_url)
        self._tokens = Tokens(places.vertex_base_url)
        self.base_url = places.base_url
        self.client = studio.client
        self.ways = Ways(
            {
                AI_STUDIO: AiStudio(studio, places.base_url),
                VERTEX_EXPRESS: vertex.VertexExpress(express, express_url),
                VERTEX_ACCOUNT: vertex.VertexAccount(account, account_url, places.vertex_location, self._tokens),
            }
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._tokens.aclose()
        await asyncio.gather(*(wire.aclose() for wire in self._wires))

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self.aclose()


def is_vertex(key: PoolKey) -> bool:
    """Tell whether a key leads to Vertex AI."""
    return key.kind != AI_STUDIO
