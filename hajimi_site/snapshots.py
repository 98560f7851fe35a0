"""Snapshots of a SQLite database: taken while it is used, checked, put into a folder that may be a bucket's mount.

Such a folder knows no file locks, writes late and may be slow. So SQLite itself only ever touches local files beside
the database; the folder sees whole files, copied under another name and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

_NAME: Final = re.compile(r"hajimi-(\d{8}T\d{6})Z\.sqlite3")
_STAMP: Final = "%Y%m%dT%H%M%S"
# What lets its finder in, or was promised to be gone after a day: it may not outlive that in a snapshot.
_LEFT_OUT: Final = {
    "django_session": "DELETE FROM django_session",
    "proxy_recording": "DELETE FROM proxy_recording",
    "proxy_recordingwish": "DELETE FROM proxy_recordingwish",
}
# What SQLite keeps beside a database.
_COMPANIONS: Final = ("", "-wal", "-shm", "-journal")
# What fault_of says of a database that is sound, but none of hajimi's.
NOT_OURS: Final = "it holds no tables of hajimi"
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
BUSY_SECONDS: Final = 20.0
# A copy on its way: hidden, and named after its snapshot. The last word is its writer's own.
_PART: Final = re.compile(r"\.hajimi-(\d{8}T\d{6})Z\.sqlite3(\.\w+)?\.part")
# Where a copy is made, beside the database.
_WORKSHOP: Final = re.compile(r"\.snapshot-(\d{8}T\d{6})Z-\w+")
# Longer than any copy takes; what is older was left behind by somebody who was killed.
PART_LIFE: Final = timedelta(hours=6)


class Unsound(Exception):
    """A snapshot is not what was written, or cannot be used; the message says why."""


def take(database: Path, folder: Path, at: datetime) -> Path:
    """Put a checked snapshot of ``database`` into ``folder`` and return its path.

    It holds no sign-in and no recording, and only its owner may read it.
    Raises Unsound, OSError or sqlite3.Error; ``folder`` then holds what it held before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _local_file(database, at) as copy:
        with contextlib.closing(_open(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        _leave_out(copy)
        if fault := fault_of(copy):
            raise Unsound(f"the snapshot is not sound: {fault}")
        return _publish(copy, folder / f"hajimi-{at.astimezone(UTC).strftime(_STAMP)}Z.sqlite3")


def keep_private(database: Path) -> None:
    """Let nobody but its owner read a database made now; of one that is there, take away what everybody may do.

    SQLite gives the files beside it the same rights. A file of somebody else's, or a mount without rights, stays.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for path in (_beside(database, suffix) for suffix in _COMPANIONS):
        with contextlib.suppress(OSError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o007)


def found_in(folder: Path) -> list[Path]:
    """Return the snapshots in ``folder``, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def taken_at(snapshot: Path) -> datetime:
    """Return when a snapshot was taken, as its name says."""
    match = _NAME.fullmatch(snapshot.name)
    if match is None:
        raise ValueError(f"{snapshot.name} is no snapshot's name.")
    return _moment(match[1])


def keep_newest(folder: Path, count: int, at: datetime) -> None:
    """Delete all but the newest ``count`` snapshots, and what interrupted copies have left.

    A part may also be a copy that is being written now, by hand for one: only old ones go. Its name tells the age, for
    a mount's clock may be another one.
    """
    named = ((path, _PART.fullmatch(path.name)) for path in folder.iterdir())
    left = [path for path, match in named if match and at - _moment(match[1]) > PART_LIFE]
    for path in [*found_in(folder)[count:], *left]:
        path.unlink(missing_ok=True)


def fault_of(database: Path) -> str:
    """Return why a database file cannot be used, "" when it is a sound one of hajimi's.

    Raises sqlite3.Error when that cannot be told, because it is locked for one.
    """
    try:
        with contextlib.closing(_open(database)) as connection:
            [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                return str(verdict).replace("\n", " ")[:200]
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'django_migrations'")
            return "" if tables.fetchone()[0] else NOT_OURS
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in _BROKEN:
            raise
        return str(error)


def is_of_nobody(database: Path) -> bool:
    """Tell whether a sound database has no table at all, as one whose first start was interrupted."""
    with contextlib.closing(_open(database)) as connection:
        return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def bring_back(snapshot: Path, database: Path, at: datetime) -> Path | None:
    """Let ``database`` be what ``snapshot`` holds; return where the file that was there lies now, None without one.

    Nobody may have the database open. Raises Unsound or OSError; the database is then as it was.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with _local_file(database, at) as copy:
        with snapshot.open("rb") as source, _private(copy) as target:
            shutil.copyfileobj(source, target, 2**20)
        if fault := fault_of(copy):
            raise Unsound(f"{snapshot.name} is not sound: {fault}")
        for suffix in _COMPANIONS[1:]:
            _beside(copy, suffix).unlink(missing_ok=True)
        aside = put_aside(database, at)
        copy.replace(database)
        return aside


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)


def _leave_out(copy: Path) -> None:
    with contextlib.closing(_open(copy)) as connection:
        # Else the rows would go on lying in the pages that are free now.
        connection.execute("PRAGMA secure_delete = ON")
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in there & _LEFT_OUT.keys():
            connection.execute(_LEFT_OUT[table])


def put_aside(database: Path, at: datetime) -> Path | None:
    """Rename what lies in the database's place; return where it lies now, None when nothing was there."""
    aside = database.with_name(f"{database.name}.aside-{at.astimezone(UTC).strftime(_STAMP)}Z")
    was_there = database.exists()
    for suffix in _COMPANIONS:
        # Left behind, the log of the old file would be played into the new one.
        if (old := _beside(database, suffix)).exists():
            old.replace(_beside(aside, suffix))
    return aside if was_there else None


def _publish(copy: Path, place: Path) -> Path:
    """Copy a local file to ``place``, whole or not at all."""
    # Two may write a snapshot of the same second.
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        with copy.open("rb") as source, _private(draft) as target:
            shutil.copyfileobj(source, target, 2**20)
            target.flush()
            # Not every mount can; what was written is read again below.
            with contextlib.suppress(OSError):
                os.fsync(target.fileno())
        if _digest(draft) != _digest(copy):
            raise Unsound(f"{place.parent} does not hold what was written to it")
        draft.replace(place)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return place


@contextlib.contextmanager
def _local_file(database: Path, at: datetime) -> Iterator[Path]:
    """Give the name of a file that does not exist yet, on the database's own disk; it is gone afterwards."""
    _sweep(database.parent, at)
    stamp = at.astimezone(UTC).strftime(_STAMP)
    with tempfile.TemporaryDirectory(prefix=f".snapshot-{stamp}Z-", dir=database.parent) as folder:
        yield Path(folder) / "copy.sqlite3"


def _sweep(folder: Path, at: datetime) -> None:
    """Delete what a process that was killed while it made a copy has left, as large as the database."""
    for path in folder.iterdir():
        if (match := _WORKSHOP.fullmatch(path.name)) and at - _moment(match[1]) > PART_LIFE:
            shutil.rmtree(path, ignore_errors=True)


def _open(path: Path) -> sqlite3.Connection:
    """Open a database that exists. Writable, for a log left by a crash is played in first."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _private(path: Path) -> BinaryIO:
    """Open a file for writing; made anew, it is its owner's only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
