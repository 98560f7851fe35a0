"""How to reach Vertex AI: with a service account's token, or with a key of express mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from keys.accounts import BadAccount, read
from keys.pool import PoolKey
from proxy.translation.vertex import adapted
from proxy.upstream.ai_studio import AiStudioAnswer, Event
from proxy.upstream.client import Wire
from proxy.upstream.errors import Refused, UpstreamError
from proxy.upstream.tokens import Tokens, refused

GLOBAL: Final = "global"
GLOBAL_HOST: Final = "https://aiplatform.googleapis.com"
MULTI_REGIONS: Final = frozenset({"us", "eu"})
UNAUTHENTICATED: Final = 401


def base_url(location: str) -> str:
    """Return Google's address of Vertex AI for a location: `global`, a multi-region or a region.

    Source: google-genai's _api_client.py, and "Multi-region endpoints" on Google's page
    docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations.
    """
    if location == GLOBAL:
        return GLOBAL_HOST
    if location in MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


class VertexExpress:
    """Calls Vertex AI at ``base_url`` with the API keys of express mode, which name no project."""

    def __init__(self, wire: Wire, base_url: str) -> None:
        self._wire = wire
        self._base_url = base_url.rstrip("/")

    def ask(
        self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: Mapping[str, Any]
    ) -> AiStudioAnswer:
        """Return a call of ``model`` that is not yet sent."""
        url = f"{self._base_url}/v1/{_place(model, method, stream=stream)}"
        headers = {"x-goog-api-key": key.secret, "content-type": "application/json"}
        return AiStudioAnswer(self._wire, url, headers, adapted(body, method, more), stream=stream)


class VertexAccount:
    """Calls Vertex AI at ``base_url``, in ``location``, with service accounts, each in its own project."""

    def __init__(self, wire: Wire, base_url: str, location: str, tokens: Tokens) -> None:
        self._wire = wire
        self._base_url = base_url.rstrip("/")
        self._location = location
        self._tokens = tokens

    def ask(
        self, key: PoolKey, model: str, body: bytes, *, method: str, stream: bool, more: Mapping[str, Any]
    ) -> VertexAccountAnswer:
        """Return a call of ``model`` that is not yet sent."""
        place = _place(model, method, stream=stream)
        return VertexAccountAnswer(self, key.secret, place, adapted(body, method, more), stream=stream)

    async def send(self, secret: str, place: str, body: bytes, *, stream: bool) -> tuple[AiStudioAnswer, str]:
        """Return a call that is not yet sent, and the token it carries. Raises UpstreamError."""
        try:
            project = read(secret).project_id
        except BadAccount as error:
            raise refused(UNAUTHENTICATED, f"The service account cannot be used: {error}.") from None
        token = await self._tokens.token(secret)
        url = f"{self._base_url}/v1/projects/{quote(project, safe='')}/locations/{self._location}/{place}"
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return AiStudioAnswer(self._wire, url, headers, body, stream=stream), token

    def forget(self, secret: str, token: str) -> None:
        """Drop a token that Vertex refused."""
        self._tokens.forget(secret, token)


class VertexAccountAnswer:
    """One call on its way. A token that is refused is renewed once, within the same attempt."""

    def __init__(self, way: VertexAccount, secret: str, place: str, body: bytes, *, stream: bool) -> None:
        self._way = way
        self._secret = secret
        self._call = place, body, stream
        self._answer: AiStudioAnswer | None = None

    async def batch(self) -> list[Event]:
        """Return the events of one read, none at the end. Raises UpstreamError."""
        return await (self._first() if self._answer is None else self._answer.batch())

    async def close(self) -> None:
        """Close the call; one that still runs is cancelled upstream."""
        if self._answer is not None:
            await self._answer.close()

    async def _first(self) -> list[Event]:
        token = await self._begin()
        try:
            return await self._asked().batch()
        except Refused as error:
            if error.status != UNAUTHENTICATED:
                raise
        self._way.forget(self._secret, token)
        await self._asked().close()
        await self._begin()
        return await self._asked().batch()

    async def _begin(self) -> str:
        place, body, stream = self._call
        self._answer, token = await self._way.send(self._secret, place, body, stream=stream)
        return token

    def _asked(self) -> AiStudioAnswer:
        if self._answer is None:
            raise UpstreamError("not begun")
        return self._answer


def _place(model: str, method: str, *, stream: bool) -> str:
    verb = "streamGenerateContent?alt=sse" if stream else method
    return f"publishers/google/models/{quote(model, safe='')}:{verb}"
