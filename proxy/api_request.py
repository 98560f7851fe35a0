"""A request of the API, and the house it is served in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import QueryDict
from django.utils.functional import cached_property

from proxy.live import Live
from proxy.recording import Recorder

if TYPE_CHECKING:
    import httpx

    from keys.ledger import Ledger
    from keys.members import Doorkeeper
    from keys.pool import Pool
    from proxy.journal import Journal
    from proxy.recording import Tape
    from proxy.relay import Relay
    from proxy.runtime import RuntimeHolder
    from proxy.signatures import Signatures

Message = dict[str, Any]


@dataclass
class House:
    """Everything one process serves with. ``ready``: it listens; ``draining``: it ends."""

    runtime: RuntimeHolder
    pool: Pool
    ledger: Ledger
    journal: Journal
    doorkeeper: Doorkeeper
    relay: Relay
    signatures: Signatures
    upstream: httpx.AsyncClient
    ready: bool = False
    draining: bool = False
    live: Live = field(default_factory=Live)
    recorder: Recorder = field(default_factory=Recorder)


class Headers(dict[str, str]):
    """The headers of a request, found by their names in any letter case."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__()
        for raw_name, raw_value in pairs:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            super().__setitem__(name, f"{super().__getitem__(name)},{value}" if super().__contains__(name) else value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or ``default``."""
        return super().get(name.lower(), default)


_NO_QUERY: Final = QueryDict("")


class ApiRequest(ASGIRequest):
    """A request of the API. Its body is there, whole; ``answer_headers`` go with any answer, errors too.

    Raises UnicodeDecodeError for a query that is not UTF-8.
    """

    def __init__(self, scope: Message, body: bytes, house: House, number: int) -> None:
        # Not ASGIRequest's: its META, which no view of ours reads, would cost a tenth of a request.
        self.scope = scope
        self.path = self.path_info = scope["path"]
        self.script_name = ""
        self.method = scope["method"]
        self.resolver_match = None
        self._post_parse_error = False
        self._read_started = False
        self._stream = BytesIO()
        self._body = body
        self._query = scope["query_string"].decode()
        self.house = house
        self.request_id = number
        self.started = time.time()
        self.address: str = scope["client"][0] if scope.get("client") else ""
        # Whom the dashboard names beside a refusal: the member, once the password has told.
        self.who = self.address
        self.member_id: int | None = None
        self.answer_headers: dict[str, str] = {}
        # Set for a member who wants this request recorded.
        self.tape: Tape | None = None

    def drop_body(self) -> None:
        """Keep the body no longer: a stream runs for minutes, and nobody looks back."""
        self._body = b""

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802 - Django's name
        """Everything as WSGI names it."""
        meta: dict[str, Any] = ASGIRequest(self.scope, BytesIO(self._body)).META
        return meta

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        """The headers, named in lower case."""
        return Headers(self.scope["headers"])

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # noqa: N802 - Django's name
        """What the query says."""
        return QueryDict(self._query, encoding="utf-8") if self._query else _NO_QUERY
