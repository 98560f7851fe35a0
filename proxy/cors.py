"""Which web pages may call the API from a browser. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PREFLIGHT_SECONDS: Final = 86_400
EXPOSED: Final = (
    "x-request-id, x-hajimi-attempts, x-should-retry, retry-after, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests"
)
_HEADER_NAMES: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z, ]{1,1000}")


class Cors:
    """Answers for browsers. No ``origins``: every page may call, without cookies; else only those pages."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins) - {"*"}

    def headers(self, origin: str | None) -> dict[str, str]:
        """Return the headers of an answer to a page from ``origin`` (None: not sent by a browser's page)."""
        if origin is None:
            return {}
        if not self._origins:
            return {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
        if origin.lower() not in self._origins:
            return {"vary": "origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": EXPOSED,
            "vary": "origin",
        }

    def preflight(self, origin: str, methods: str, asked_headers: str) -> dict[str, str]:
        """Return the headers that say yes to a preflight; without them the browser takes it for a no."""
        allowed = self.headers(origin)
        if "access-control-allow-origin" not in allowed:
            return allowed
        del allowed["access-control-expose-headers"]
        # A star would not cover Authorization, so what is asked for is said back.
        names = asked_headers if _HEADER_NAMES.fullmatch(asked_headers) else "authorization, content-type"
        return allowed | {
            "access-control-allow-methods": methods,
            "access-control-allow-headers": names,
            "access-control-max-age": str(PREFLIGHT_SECONDS),
        }
