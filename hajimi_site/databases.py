"""How Django is told of a database, SQLite or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import environ

# WAL and IMMEDIATE: without both, parallel writers see "database is locked" (measured; PostgreSQL needs the pool,
# persistent connections run it out of slots under ASGI).
SQLITE_OPTIONS: Final = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;PRAGMA cache_size=-20000;"
    ),
}
# A server that is gone without a word is noticed in half a minute; while it is away, the pool knocks every few seconds
# (its own pauses would double up to minutes).
POSTGRES_OPTIONS: Final = {
    "pool": {"min_size": 2, "max_size": 10, "timeout": 20, "reconnect_timeout": 10},
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def sqlite(path: Path) -> dict[str, Any]:
    """Return the entry of DATABASES for a SQLite file."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": SQLITE_OPTIONS}


def from_url(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES for a DATABASE_URL."""
    given: dict[str, Any] = environ.Env.db_url_config(url)
    options = SQLITE_OPTIONS if given["ENGINE"].endswith("sqlite3") else POSTGRES_OPTIONS
    return {**given, "CONN_MAX_AGE": 0, "OPTIONS": {**options, **given.get("OPTIONS", {})}}
