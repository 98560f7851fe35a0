"""Static files of all apps, found once and served beside Django."""

from __future__ import annotations

from typing import Any, Final
from wsgiref.headers import Headers

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from servestatic.asgi import ServeStaticASGI  # type: ignore[import-untyped]

from hajimi_site import shown_path

MAX_AGE_SECONDS: Final = 3600


def build() -> Any:
    """Return an ASGI application with every file that the staticfiles finders know."""
    application = ServeStaticASGI(
        None, max_age=MAX_AGE_SECONDS, allow_all_origins=False, add_headers_function=_add_headers
    )
    for finder in get_finders():
        for path, storage in finder.list(None):
            shown_path.know(path.split("/"))
            application.add_file_to_dictionary(f"{settings.STATIC_URL}{path}", storage.path(path))
    return application


def _add_headers(headers: Headers, path: str, url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
