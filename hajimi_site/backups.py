"""Keeps snapshots in BACKUP_DIR, and brings the newest sound one back when the database is missing or broken."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from hajimi_site import snapshots

# After a snapshot that failed the next try comes sooner.
RETRY_MINUTES: Final = 5.0
# A mount may hang for ever; the end of a process may not (hajimi_site.server: EXIT_SECONDS).
END_SECONDS: Final = 15.0

logger = logging.getLogger("hajimi.backup")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is saved where, how often (0 minutes: only at the end), and how many snapshots stay."""

    database: Path
    folder: Path
    minutes: float
    keep: int


def plan() -> Plan | None:
    """Return the plan that the settings make, None without one: no BACKUP_DIR, or a database other than SQLite."""
    database = database_file()
    if settings.BACKUP_DIR is None or database is None:
        return None
    return Plan(database, settings.BACKUP_DIR, settings.BACKUP_MINUTES, settings.BACKUP_KEEP)


def database_file() -> Path | None:
    """Return the file of the database, None for PostgreSQL."""
    name = str(connection.settings_dict["NAME"])
    return Path(name).resolve() if connection.vendor == "sqlite" and name != ":memory:" else None


def notes() -> list[str]:
    """Return what the log should say about the settings. Raises ImproperlyConfigured for those that cannot work."""
    if settings.BACKUP_DIR is None:
        return []
    if plan() is None:
        return [
            "WARNING: BACKUP_DIR is for SQLite; with PostgreSQL use its own backups, or manage.py backup now and then."
        ]
    _check_folder(settings.BACKUP_DIR)
    if not settings.SECRET_KEY_IS_FILE:
        return []
    if settings.ON_SPACE:
        raise ImproperlyConfigured(
            "BACKUP_DIR is set, but SECRET_KEY is not, and this Space forgets the key made in DATA_DIR when it "
            "restarts: a restored database could not be read. Set SECRET_KEY as a secret of the Space."
        )
    return [
        "WARNING: BACKUP_DIR is set, but SECRET_KEY is not: a snapshot can only be read with the file "
        f"{settings.DATA_DIR / 'secret_key'}, which is not part of it. Keep a copy of that file elsewhere, "
        "or set SECRET_KEY to what it holds."
    ]


def restore_if_needed() -> None:
    """Bring the newest sound snapshot back if the database is missing or broken. Called before anything opens it.

    A sound one that is none of hajimi's counts as missing; what it holds is kept aside.

    Raises ImproperlyConfigured when it is broken and there is nothing to bring back.
    """
    ours = plan()
    if ours is None or (fault := _fault(ours.database)) == "":
        return
    for snapshot in snapshots.found_in(ours.folder):
        try:
            aside = snapshots.bring_back(snapshot, ours.database, datetime.now(UTC))
        except (snapshots.Unsound, sqlite3.Error, OSError) as error:
            logger.error("The snapshot %s cannot be restored (%s); an older one is tried.", snapshot.name, error)
            continue
        logger.warning(
            "WARNING: the database was %s. It is now as it was at %s (%s); what came later is lost.%s",
            fault or "missing",
            snapshots.taken_at(snapshot).strftime("%Y-%m-%d %H:%M:%S UTC"),
            snapshot.name,
            f" What was there lies at {aside}." if aside else "",
        )
        return
    if fault:
        raise ImproperlyConfigured(
            f"the database {ours.database} is {fault}, and {ours.folder} has no sound snapshot of it; "
            "put a good copy in its place, or move it away to begin anew."
        )
    _make_room(ours.database)


def back_up(ours: Plan) -> Path:
    """Take a snapshot now, and forget the oldest. Raises snapshots.Unsound, OSError or sqlite3.Error."""
    with _locked(ours.database.with_name("backup.lock")):
        taken = snapshots.take(ours.database, ours.folder, datetime.now(UTC))
        snapshots.keep_newest(ours.folder, ours.keep, datetime.now(UTC))
    return taken


def back_up_quietly(ours: Plan) -> bool:
    """Take a snapshot; log how it went, and say whether it went well."""
    try:
        taken = back_up(ours)
    except (snapshots.Unsound, sqlite3.Error, OSError) as error:
        logger.error("The snapshot of the database failed: %s.", error)
        return False
    logger.info("Snapshot %s taken.", taken.name)
    return True


async def keep_backed_up(ours: Plan) -> None:
    """Until cancelled: take a snapshot whenever the newest is older than the plan's minutes."""
    if not ours.minutes:
        await asyncio.Event().wait()
    while True:
        # Several processes of one database keep one series.
        wait = await _apart(lambda: _due_in(ours))
        if wait <= 0:
            is_taken = await _apart(lambda: back_up_quietly(ours))
            wait = 60 * (ours.minutes if is_taken else min(RETRY_MINUTES, ours.minutes))
        await asyncio.sleep(wait)


def back_up_at_the_end(ours: Plan) -> None:
    """Take the last snapshot of a process, unless it takes too long."""
    thread = threading.Thread(target=back_up_quietly, args=(ours,), name="last snapshot", daemon=True)
    thread.start()
    thread.join(END_SECONDS)
    if thread.is_alive():
        logger.error("The last snapshot of the database is given up: %s does not answer.", ours.folder)


async def _apart(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread that nobody waits for at the end: whatever looks into a mount may hang with it."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # It is raised where ``work`` is waited for.
            done.set_exception(error)

    threading.Thread(target=run, name="backups", daemon=True).start()
    return await asyncio.wrap_future(done)


def _due_in(ours: Plan) -> float:
    try:
        newest = snapshots.found_in(ours.folder)[:1]
    except OSError:
        # Trying will tell what is wrong with the folder.
        return 0.0
    if not newest:
        return 0.0
    age = (datetime.now(UTC) - snapshots.taken_at(newest[0])).total_seconds()
    # A clock that was set back must not put it off for ever.
    return min(max(60 * ours.minutes - age, 0.0), 60 * ours.minutes)


def _make_room(database: Path) -> None:
    """Put a database of somebody else's aside. An empty one, which a first start that was killed leaves, is used."""
    if _is_there(database) and not snapshots.is_of_nobody(database):
        aside = snapshots.put_aside(database, datetime.now(UTC))
        logger.warning(
            "WARNING: %s held no tables of hajimi; it lies at %s now, and a new one is made.", database, aside
        )


def _is_there(database: Path) -> bool:
    return database.exists() and database.stat().st_size > 0


def _fault(database: Path) -> str | None:
    """Return "" for a sound database, None for a missing one, else what is wrong with it."""
    if not _is_there(database):
        return None
    try:
        fault = snapshots.fault_of(database)
    except sqlite3.Error:
        # Locked, or not to be opened: whoever uses it next says what is wrong.
        return ""
    if fault == snapshots.NOT_OURS:
        return None
    return f"broken ({fault})" if fault else ""


def _check_folder(folder: Path) -> None:
    probe = folder / ".hajimi-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"hajimi")
        probe.unlink()
    except OSError as error:
        raise ImproperlyConfigured(
            f"BACKUP_DIR is set to {str(folder)!r}, which cannot be used ({error.strerror}); "
            "it must be a folder this user may write to."
        ) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
