"""Access tokens of service accounts: fetched once, kept while they are good, renewed before they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

import httpx
import orjson
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.exceptions import TransportError as AuthTransportError
from google.auth.transport import Request, Response
from google.oauth2.service_account import Credentials

from keys.accounts import BadAccount, check_token_servers, read
from proxy.upstream.errors import Refused, Unreachable

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
# As Google's own library does, with a margin for slow answers: an hour's token is renewed five minutes early.
EARLY_SECONDS: Final = 300.0
FETCH_SECONDS: Final = 20.0
LARGEST_ANSWER: Final = 64 * 1024
# The account is no good, and stays so: RFC 6749, section 5.2, and "Error codes" on Google's page
# developers.google.com/identity/protocols/oauth2/service-account. Whatever else is answered is no fault of the account.
FINAL: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client"}
    | {"unsupported_grant_type", "access_denied", "disabled_client"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the end of its life, in seconds since the epoch."""

    text: str
    ends_at: float


class Tokens:
    """The tokens of all service accounts of a process. Each account is asked for one at a time.

    ``vertex_url`` is where Vertex AI is when that is not at Google (keys.accounts.is_token_server).
    """

    def __init__(self, vertex_url: str = "", now: Callable[[], float] = time.time) -> None:
        self._vertex_url = vertex_url
        self._now = now
        self._tokens: dict[str, Token] = {}
        self._fetches: dict[str, asyncio.Task[Token]] = {}

    async def token(self, secret: str) -> str:
        """Return a good token of the account that ``secret`` holds.

        Raises Refused when Google does not give one (401: the account is no good), or Unreachable.
        """
        token = self._tokens.get(secret)
        if token is None or token.ends_at <= self._now():
            return (await asyncio.shield(self._fetching(secret))).text
        if token.ends_at - EARLY_SECONDS <= self._now():
            self._fetching(secret)
        return token.text

    def forget(self, secret: str, text: str) -> None:
        """Drop a token that was refused, unless another one has taken its place."""
        token = self._tokens.get(secret)
        if token is not None and token.text == text:
            del self._tokens[secret]

    async def aclose(self) -> None:
        """Wait for no fetch any more."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _fetching(self, secret: str) -> asyncio.Task[Token]:
        """Return the one fetch for this account that is on its way, begun now if there is none."""
        fetch = self._fetches.get(secret)
        if fetch is None:
            fetch = self._fetches[secret] = asyncio.create_task(self._fetch(secret))
            fetch.add_done_callback(lambda done: self._fetched(secret, done))
        return fetch

    async def _fetch(self, secret: str) -> Token:
        return await asyncio.to_thread(fetch_token, secret, self._vertex_url)

    def _fetched(self, secret: str, fetch: asyncio.Task[Token]) -> None:
        del self._fetches[secret]
        # Asking for the exception also tells asyncio that it was seen: an early renewal has nobody who waits.
        if not fetch.cancelled() and fetch.exception() is None:
            self._tokens[secret] = fetch.result()


def fetch_token(secret: str, vertex_url: str = "") -> Token:
    """Ask Google for a token. Synchronous. Raises Refused (401: the account is no good) or Unreachable."""
    credentials = _credentials(secret, vertex_url)
    try:
        with httpx.Client(timeout=FETCH_SECONDS) as client:
            credentials.refresh(_Transport(client))
    except AuthTransportError as error:
        raise Unreachable(type(error.__cause__ or error).__name__) from error
    except RefreshError as error:
        raise refused(401 if _is_final(error) else 503, _said(error)) from error
    except (GoogleAuthError, ValueError) as error:
        raise Unreachable(type(error).__name__) from error
    return Token(credentials.token, credentials.expiry.replace(tzinfo=UTC).timestamp())


def _credentials(secret: str, vertex_url: str) -> Any:
    try:
        account = read(secret)
        # Not only where it comes in: what was stored by an earlier version, or under another VERTEX_BASE_URL, is here.
        check_token_servers((account,), vertex_url)
        credentials = Credentials.from_service_account_info(account.info, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except BadAccount as error:
        raise refused(401, f"The service account cannot be used: {error}.") from None
    except ValueError:
        raise refused(401, "The service account cannot be used: its private_key cannot be read.") from None
    # google-auth names Google's own token server whichever one it asks.
    return credentials.with_claims({"aud": account.token_uri})


def refused(status: int, message: str) -> Refused:
    """Return a refusal in the words of Google's API, of ``status`` 401 or 503."""
    name = "UNAUTHENTICATED" if status == 401 else "UNAVAILABLE"
    return Refused(status, orjson.dumps({"error": {"code": status, "message": message, "status": name}}))


def _is_final(error: RefreshError) -> bool:
    """Tell whether an OAuth server refused the account: a proxy's page, or a server's fault, says nothing of it."""
    code = _document(error).get("error")
    return not error.retryable and isinstance(code, str) and code in FINAL


def _said(error: RefreshError) -> str:
    """Return what the token server said, in one line: "invalid_grant: Invalid JWT Signature." """
    document = _document(error)
    words = [document.get("error"), document.get("error_description")]
    said = ": ".join(word for word in words if isinstance(word, str))
    return f"Google gives no token for this service account{f' ({said[:200]})' if said else ''}."


def _document(error: RefreshError) -> Mapping[str, Any]:
    """Return the JSON of a refusal; nothing when it is no object."""
    document = error.args[1] if len(error.args) > 1 else None
    return document if isinstance(document, dict) else {}


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data), dict)
    except orjson.JSONDecodeError:
        return False


class _Answer(Response):
    """A token server's answer, as google-auth reads it."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status, self._headers, self._data = status, headers, data

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def data(self) -> bytes:
        return self._data


class _Transport(Request):
    """How google-auth asks: over httpx, which is here anyway, with the environment's proxies."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> _Answer:
        try:
            with self._client.stream(method, url, content=body, headers=headers) as answer:
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > LARGEST_ANSWER:
                        raise AuthTransportError("its answer is too long")  # type: ignore[no-untyped-call]
                # google-auth takes every 200 for a token; the page of a network that wants a login first is one, too.
                if answer.status_code == 200 and not _is_object(data):
                    raise AuthTransportError("its answer is no token")  # type: ignore[no-untyped-call]
                return _Answer(answer.status_code, dict(answer.headers), data)
        except httpx.HTTPError as error:
            raise AuthTransportError("it cannot be reached") from error  # type: ignore[no-untyped-call]
