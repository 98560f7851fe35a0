"""What a member pastes to connect: addresses, and the fields of SillyTavern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from django.http import HttpRequest

# SillyTavern's own words, as its English interface shows them.
_SILLYTAVERN: Final = (
    ("API", "Chat Completion"),
    ("Chat Completion Source", "Custom (OpenAI-compatible)"),
)


@dataclass(frozen=True, slots=True)
class Connection:
    """How one member connects: the API's address, the member's own page, the password when it is known now."""

    name: str
    password: str
    base_url: str
    page_url: str

    @property
    def link(self) -> str:
        """The member's page with the password behind the #, where no server and no log ever sees it."""
        return f"{self.page_url}#{quote(self.password, safe='')}" if self.password else self.page_url

    @property
    def sillytavern(self) -> str:
        """SillyTavern's fields, a line for each, as they stand from top to bottom."""
        fields = [*_SILLYTAVERN, ("Custom Endpoint (Base URL)", self.base_url), ("Custom API Key", self.password)]
        return "\n".join(f"{name}: {value}" for name, value in fields)


def connection(request: HttpRequest, name: str, password: str = "") -> Connection:
    """Return how a member connects to this server, as the one who asks reaches it."""
    base_url, page_url = (request.build_absolute_uri(path) for path in ("/v1", "/me"))
    return Connection(name, password, base_url, page_url)
