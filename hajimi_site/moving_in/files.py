"""The files of other proxies, as they come: JSON, lines of variables, SQLite. Read, never written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hajimi_site import env_file
from hajimi_site.moving_in.luggage import Unreadable

LARGEST_FILE: Final = 64 * 2**20
SQLITE_HEAD: Final = b"SQLite format 3\x00"

Rows = Callable[[str], list[dict[str, Any]]]


def pairs(path: Path) -> dict[str, Any]:
    """Return the names and values of a JSON object, or of a file of variables. Raises Unreadable."""
    content = _read(path).decode("utf-8-sig", errors="replace")
    if content.lstrip()[:1] != "{":
        found: dict[str, Any] = {}
        env_file.load(path, found)
        if not found:
            raise Unreadable(f"{path} holds neither JSON nor NAME=value lines.")
        return found
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable(f"{path} is not valid JSON.") from None
    return dict(document)


@contextlib.contextmanager
def database(path: Path) -> Iterator[Rows]:
    """Open a SQLite database for reading; yield what returns a table's rows. Raises Unreadable."""

    def rows(table: str) -> list[dict[str, Any]]:
        try:
            # The name is one of ours.
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]  # noqa: S608
        except sqlite3.Error as error:
            raise Unreadable(f"{path} cannot be read: {error}.") from None

    # As an address, so that a "#" or "?" in the name is a part of it.
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield rows


def is_sqlite(path: Path) -> bool:
    """Tell whether a file is a SQLite database, by its head. Raises Unreadable."""
    return _read(path, len(SQLITE_HEAD)) == SQLITE_HEAD


def text(value: Any) -> str:
    """Return a value of JSON as it would stand in a variable; what is empty is ""."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None or value == {} else str(value)


def _read(path: Path, most: int = LARGEST_FILE) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
