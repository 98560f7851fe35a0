"""Real databases for tests: a migrated SQLite file, or a PostgreSQL database, that Django's "default" then means.

PostgreSQL is used when HAJIMI_TEST_POSTGRES_URL names a server whose user may create databases.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

T = TypeVar("T")

POSTGRES_URL = os.environ.get("HAJIMI_TEST_POSTGRES_URL", "")
ON_POSTGRES = pytest.mark.skipif(not POSTGRES_URL, reason="PostgreSQL: HAJIMI_TEST_POSTGRES_URL is not set")
# The advisory locks of one database; pg_locks shows those of the whole server.
ADVISORY_LOCKS = (
    "(SELECT pg_locks.* FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE locktype = 'advisory' AND datname = current_database()) AS locks"
)

# The whole suite runs on PostgreSQL when HAJIMI_TEST_DATABASE says so; what is about SQLite's file is left out.
ABOUT_SQLITE = pytest.mark.skipif(
    os.environ.get("HAJIMI_TEST_DATABASE") == "postgres", reason="this is about SQLite's file; the run is on PostgreSQL"
)
BACKENDS = ("sqlite", "postgres") if POSTGRES_URL else ("sqlite",)


@contextmanager
def database(backend: str, folder: Path) -> Iterator[None]:
    """Let "default" be a fresh, migrated database, in every thread, until the end of the block."""
    if backend == "postgres":
        with _postgres() as config, _as_default(config):
            yield
    else:
        path = folder / "hajimi.sqlite3"
        shutil.copy(_migrated_file(), path)
        with _as_default(_sqlite(path)):
            yield


async def in_thread(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread whose connections end with it."""

    def closing() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(closing)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for ``condition``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold SQLite's write lock, as another process would."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


@contextmanager
def _as_default(config: dict[str, Any]) -> Iterator[None]:
    before = connections.settings["default"]
    _close()
    connections.settings["default"] = connections.configure_settings({"default": config})["default"]
    try:
        yield
    finally:
        _close()
        connections.settings["default"] = before


def _close() -> None:
    connections["default"].close()
    if hasattr(connections["default"], "close_pool"):
        connections["default"].close_pool()
    del connections["default"]


def _sqlite(path: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": dict(settings.SQLITE_OPTIONS)}


@cache
def _migrated_file() -> Path:
    """Migrate once in each test process; tests take copies."""
    folder = tempfile.TemporaryDirectory(prefix="hajimi-tests-")
    _folders.append(folder)
    path = Path(folder.name) / "migrated.sqlite3"
    with _as_default(_sqlite(path)):
        call_command("migrate", verbosity=0)
        with connections["default"].cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


_folders: list[tempfile.TemporaryDirectory[str]] = []


@contextmanager
def _postgres() -> Iterator[dict[str, Any]]:
    server = dict(environ.Env.db_url_config(POSTGRES_URL))
    name = _new_name()
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE "{_migrated_database()}"')
    try:
        yield _postgres_config(server, name)
    finally:
        _run(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@cache
def _migrated_database() -> str:
    """Migrate once in each test process, as above."""
    server = dict(environ.Env.db_url_config(POSTGRES_URL))
    name = _new_name()
    _run(server, f'CREATE DATABASE "{name}"')
    _made.append(name)
    with _as_default(_postgres_config(server, name)):
        call_command("migrate", verbosity=0)
    return name


def fresh_postgres_url(*, migrated: bool = True) -> str:
    """Return the DATABASE_URL of a database of its own, dropped when the tests end."""
    server = dict(environ.Env.db_url_config(POSTGRES_URL))
    name = _new_name()
    template = f' TEMPLATE "{_migrated_database()}"' if migrated else ""
    _run(server, f'CREATE DATABASE "{name}"{template}')
    _made.append(name)
    return _url_of(name)


# The databases that stay until the tests end.
_made: list[str] = []


@atexit.register
def drop_what_was_made() -> None:
    """Drop them. Pytest's workers end without atexit, so that tests.conftest calls it as well."""
    server = dict(environ.Env.db_url_config(POSTGRES_URL)) if _made else {}
    while _made:
        _run(server, f'DROP DATABASE IF EXISTS "{_made.pop()}" WITH (FORCE)')


def _url_of(name: str) -> str:
    return urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()


@cache
def postgres_of(data_dir: Path) -> str:
    """Return the DATABASE_URL of a database that stands for the SQLite file of ``data_dir``."""
    server = dict(environ.Env.db_url_config(POSTGRES_URL))
    name = _new_name()
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE "{_served_database()}"')
    _made.append(name)
    return _url_of(name)


@cache
def _served_database() -> str:
    """Migrate once in each test process, as a server does; each server would need seconds for it."""
    from tests.serving import ROOT, environment_for

    server = dict(environ.Env.db_url_config(POSTGRES_URL))
    name = _new_name()
    _run(server, f'CREATE DATABASE "{name}"')
    _made.append(name)
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder), {"DATABASE_URL": _url_of(name)})
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    return name


def postgres_rows(url: str, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Return the rows of a query, written as for SQLite, of the database at ``url``."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        rows = connection.execute(sql.replace("%", "%%").replace("?", "%s"), values or None).fetchall()
    return [{name: _as_sqlite(value) for name, value in row.items()} for row in rows]


def postgres_bytes(url: str) -> bytes:
    """Return every value of every table of the database at ``url``."""
    tables = postgres_rows(url, "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'")
    rows = (row for table in tables for row in postgres_rows(url, f"SELECT * FROM {table['name']}"))
    values = (value for row in rows for value in row.values())
    return b"\n".join(bytes(value) if isinstance(value, bytes) else str(value).encode() for value in values)


def _as_sqlite(value: Any) -> Any:
    """Return a value as SQLite would: moments and days are texts."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    return value.isoformat() if isinstance(value, date) else value


def _new_name() -> str:
    return f"hajimi_test_{uuid.uuid4().hex[:12]}"


def _postgres_config(server: dict[str, Any], name: str) -> dict[str, Any]:
    pool = {"min_size": 1, "max_size": 8, "timeout": 5}
    return {**server, "NAME": name, "OPTIONS": {"pool": pool}, "CONN_MAX_AGE": 0}


def _run(server: dict[str, Any], sql: str) -> None:
    import psycopg

    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    where = {name: server[key] for name, key in names.items() if server.get(key)}
    with psycopg.connect(**where, autocommit=True) as connection:
        connection.execute(sql)
