"""Forms of pages, as a browser would send them untouched; and logging in to the admin without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

import httpx

from tests.serving import ADMIN_PASSWORD, Server

Attributes = list[tuple[str, str | None]]


class _Fields(HTMLParser):
    """Collects the fields of every form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._text = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        told = dict(attrs)
        name, value = told.get("name") or "", told.get("value") or ""
        if tag == "input" and name and told.get("type") not in ("submit", "button", "file"):
            if told.get("type") not in ("checkbox", "radio") or "checked" in told:
                self.fields[name] = value or ("on" if told.get("type") == "checkbox" else "")
        elif tag == "textarea":
            self._text = name
            self.fields[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in told or self._select not in self.fields):
            self.fields[self._select] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[self._text] += data


def fields_of(page: httpx.Response) -> dict[str, str]:
    """Return the fields of a page's forms, with what stands in them."""
    parser = _Fields()
    parser.feed(page.text)
    return {name: value for name, value in parser.fields.items() if name}


@contextmanager
def logged_in(server: Server, password: str = ADMIN_PASSWORD, *, username: str = "admin") -> Iterator[httpx.Client]:
    """Yield a client with the session of the admin."""
    with server.client("") as browser:
        form = fields_of(browser.get("/admin/login/")) | {"username": username, "password": password}
        assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
        yield browser


def submit(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Fill in these fields of the form at ``path``, send it, and return the page that comes."""
    page = browser.get(path)
    assert page.status_code == 200, path
    return browser.post(path, data=fields_of(page) | fields, follow_redirects=True)
