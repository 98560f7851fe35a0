"""Real databases for tests: a migrated SQLite file, or a PostgreSQL database, that Django's "default" then means.

PostgreSQL is used when HAJIMI_TEST_POSTGRES_URL names a server whose user may create databases.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import environ
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

T = TypeVar("T")

POSTGRES_URL = os.environ.get("HAJIMI_TEST_POSTGRES_URL", "")
ON_POSTGRES = pytest.mark.skipif(not POSTGRES_URL, reason="PostgreSQL: HAJIMI_TEST_POSTGRES_URL is not set")
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
    atexit.register(_run, server, f'DROP DATABASE "{name}" WITH (FORCE)')
    with _as_default(_postgres_config(server, name)):
        call_command("migrate", verbosity=0)
    return name


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
