"""The words that our own addresses are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from hajimi_site import health
from proxy.api_urls import ROUTES
from proxy.dashboard.views import SOCKET_PATH
from proxy.views.gemini import VERBS

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")


def words() -> set[str]:
    """Return each fixed segment of an address of ours, and the verbs of Google's."""
    addresses = [*ROUTES, *health.PATHS, settings.STATIC_URL, SOCKET_PATH, *_pages(get_resolver().url_patterns)]
    segments = {segment for address in addresses for segment in address.split("/")}
    return {segment for segment in segments if _WORD.fullmatch(segment)} | set(VERBS)


def _pages(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        yield str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _pages(pattern.url_patterns)
