"""Whether a hajimi serves from a database: each process shows it, and whoever would change all of it looks first.

On SQLite it is a lock on a file beside the database. On PostgreSQL it is an advisory lock, shared by all processes, of
the connection that each of them reads its settings with: no connection more, and gone with its process. Both are gone
when a process is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Two numbers that no other program locks by, and that hajimi_site.preparing does not use.
ADVISORY_LOCK: Final = (int.from_bytes(b"haji", "big"), int.from_bytes(b"mi", "big"))

_HELD: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    " AND (classid, objid, objsubid) = (%s, %s, 2))"
)


class Running(Exception):
    """A hajimi serves from the database; the message says from which."""


class Presence:
    """Shows on PostgreSQL that this process serves. ``keep`` runs in the one thread whose connection stays open."""

    def __init__(self) -> None:
        self._session: object = None

    def keep(self) -> None:
        """Show it, again when the connection is another one than before. Raises django.db's errors.

        Nobody takes this lock for himself alone, so it is never waited for.
        """
        if connection.vendor != "postgresql":
            return
        connection.ensure_connection()
        if connection.connection is not self._session:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock_shared(%s, %s)", ADVISORY_LOCK)
            self._session = connection.connection


@contextlib.contextmanager
def present_at(database: Path) -> Iterator[None]:
    """Show until the end of the block that this process serves from a SQLite file. Raises OSError."""
    with _lock_file(database).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def check_stopped(alias: str) -> None:
    """Raise Running when a hajimi serves from the database of this alias; django.db's errors when that is away."""
    other = connections[alias]
    if other.vendor == "sqlite":
        file = Path(str(other.settings_dict["NAME"])).resolve()
        if _is_held(_lock_file(file)):
            raise Running(f"hajimi is running on {file}")
    elif _is_served(other):
        raise Running(f"hajimi is running on the PostgreSQL database {other.settings_dict['NAME']}")


def _is_served(other: BaseDatabaseWrapper) -> bool:
    with other.cursor() as cursor:
        cursor.execute(_HELD, ADVISORY_LOCK)
        return bool(cursor.fetchone()[0])


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_file(database: Path) -> Path:
    return database.parent / "running.lock"
