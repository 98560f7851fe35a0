"""What comes before serving: the database brought up to date, and the environment brought into it, by one at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import Error, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from hajimi_site import backups, early_signals, snapshots
from keys import vault
from keys.bootstrap import Bootstrapped, bootstrap

# A number that no other program locks by: the letters of "hajimi".
ADVISORY_LOCK: Final = int.from_bytes(b"hajimi", "big")


def prepare() -> Bootstrapped:
    """Bring the database up to date, and the environment into it. Raises ImproperlyConfigured in plain words.

    Any number of processes and machines may begin at once: they go one after the other. A signal that says to stop is
    obeyed between two migrations (SystemExit).
    """
    with _in_plain_words(), one_at_a_time():
        _bring_up_to_date()
        return bootstrap(
            keys=settings.GEMINI_API_KEYS,
            express_keys=settings.VERTEX_EXPRESS_API_KEY,
            accounts=settings.GOOGLE_CREDENTIALS_JSON,
            password=settings.PASSWORD,
            admin_username=settings.ADMIN_USERNAME,
            admin_password=settings.ADMIN_PASSWORD,
        )


def prepare_for_a_command() -> bool:
    """Make the database where there is none yet, and say whether that was so. Raises ImproperlyConfigured.

    What the environment brings waits for the first start, which tells of it. A database of another version is refused:
    a command must not change it under a hajimi that may be running.
    """
    with _in_plain_words():
        if _is_fresh():
            with one_at_a_time():
                _bring_up_to_date()
            return True
        _refuse_newer()
        _refuse_older()
        return False


def _bring_up_to_date() -> None:
    backups.restore_if_needed()
    if database := backups.database_file():
        snapshots.keep_private(database)
    _refuse_newer()
    call_command(_Migrate(), interactive=False, verbosity=0)
    early_signals.obey()


def _is_fresh() -> bool:
    file = backups.database_file()
    # Opening it would make it, and then no snapshot would be brought back.
    if file is not None and not (file.exists() and file.stat().st_size):
        return True
    return not MigrationRecorder(connection).has_table()


@contextlib.contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except vault.Undecryptable as error:
        raise ImproperlyConfigured(str(error)) from None
    except Error as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        where = f"the database of {settings.DATABASE_VARIABLE} ({connection.vendor})"
        raise ImproperlyConfigured(f"{where} cannot be used: {reason}.") from None
    finally:
        connections.close_all()


class _Migrate(migrate.Command):
    """Django's own, told to stop between two migrations."""

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        """Hear of each step before it is taken."""
        if action == "apply_start":
            early_signals.obey()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until nobody else prepares this database. A process that dies lets the next one in."""
    with contextlib.ExitStack() as stack:
        for folder in _folders():
            stack.enter_context(_folder_lock(folder))
        if connection.vendor == "postgresql":
            stack.enter_context(_advisory_lock())
        yield


def _folders() -> list[Path]:
    """Return the folders that are prepared: a SQLite file elsewhere than in DATA_DIR has one of its own."""
    folders = {settings.DATA_DIR}
    if connection.vendor == "sqlite" and connection.settings_dict["NAME"] != ":memory:":
        folders.add(Path(connection.settings_dict["NAME"]).resolve().parent)
    # In one order for everybody: two processes then never wait for each other.
    return sorted(folders)


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # With SECRET_KEY and DATABASE_URL in the environment nothing else needs the folder.
        with contextlib.suppress(OSError):
            # A mistyped path of a database must be told, not made.
            if folder == settings.DATA_DIR:
                folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / "start.lock").open("w"))
            with early_signals.waiting():
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _advisory_lock() -> Iterator[None]:
    with connection.cursor() as cursor, early_signals.waiting():
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
    try:
        yield
    finally:
        # The connection goes back to the pool, not away: without this the lock would stay with it.
        with contextlib.suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def _refuse_newer() -> None:
    """Raise ImproperlyConfigured when the database knows a migration that this code does not."""
    loader = MigrationLoader(connection)
    known = set(loader.disk_migrations) | {old for new in loader.disk_migrations.values() for old in new.replaces}
    ours = {app for app, _ in known}
    newer = sorted(
        f"{app}.{name}" for app, name in loader.applied_migrations if app in ours and (app, name) not in known
    )
    if newer:
        raise ImproperlyConfigured(
            f"the database is newer than this hajimi ({settings.VERSION}), which does not know its {newer[0]}; "
            "start the version it was last used with, or a later one."
        )


def _refuse_older() -> None:
    """Raise ImproperlyConfigured when the database lacks a migration of this code."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise ImproperlyConfigured(
            f"the database is older than this hajimi ({settings.VERSION}); start hajimi once, which brings it up to "
            "date, and then give the command again."
        )
