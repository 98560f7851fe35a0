"""A request of the API, and the house it is served in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIRequest

if TYPE_CHECKING:
    import httpx

    from keys.ledger import Ledger
    from keys.members import Doorkeeper
    from keys.pool import Pool
    from proxy.journal import Journal
    from proxy.relay import Relay
    from proxy.runtime import RuntimeHolder

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
    upstream: httpx.AsyncClient
    ready: bool = False
    draining: bool = False


class ApiRequest(ASGIRequest):
    """A request of the API. Its body is there, whole; ``answer_headers`` go with any answer, errors too."""

    def __init__(self, scope: Message, body: bytes, house: House, number: int) -> None:
        super().__init__(scope, BytesIO(body))
        self._body = body
        self.house = house
        self.request_id = number
        self.started = time.time()
        self.address: str = self.META.get("REMOTE_ADDR", "")
        self.answer_headers: dict[str, str] = {}
