"""Brings a snapshot back, into SQLite or PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, Error

from hajimi_site import backups, copying, databases, running, snapshots


class Command(BaseCommand):
    help = "Bring a snapshot back. hajimi must not run; what SQLite held is kept aside."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a snapshot's path, and the leave to overwrite."""
        parser.add_argument("snapshot", nargs="?", type=Path, help="else the newest in BACKUP_DIR, DATA_DIR/backups")
        parser.add_argument("--replace", action="store_true", help="PostgreSQL: overwrite what the database holds")
        parser.add_argument("--force", action="store_true", help="even if a hajimi seems to run on it")

    def handle(self, *args: Any, snapshot: Path | None, replace: bool, force: bool, **options: Any) -> None:
        """Bring it back, and say what became of the old database."""
        chosen = (snapshot or _newest()).expanduser().resolve()
        if not chosen.is_file():
            raise CommandError(f"There is no snapshot {chosen}.")
        try:
            if not force:
                running.check_stopped(DEFAULT_DB_ALIAS)
            self.stdout.write(_restore(chosen, replace))
        except running.Running as error:
            raise CommandError(f"{error}; stop it first. (--force restores all the same.)") from None
        except (snapshots.Unsound, copying.NotCopied, sqlite3.Error, Error, OSError) as error:
            raise CommandError(f"{chosen.name} was not restored: {error}.") from None


def _newest() -> Path:
    folder = settings.BACKUP_DIR or settings.DATA_DIR / "backups"
    found = snapshots.found_in(folder)
    if not found:
        raise CommandError(f"There is no snapshot in {folder}.")
    return found[0]


def _restore(snapshot: Path, replace: bool) -> str:
    database = backups.database_file()
    if database is None:
        return _into_postgresql(snapshot, replace)
    aside = snapshots.bring_back(snapshot, database, datetime.now(UTC))
    kept = f" What was there lies at {aside}." if aside else ""
    return f"The database is as it was in {snapshot.name}.{kept}"


def _into_postgresql(snapshot: Path, replace: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="hajimi-restore-") as local:
        copy = Path(local) / "hajimi.sqlite3"
        shutil.copyfile(snapshot, copy)
        if fault := snapshots.fault_of(copy):
            raise snapshots.Unsound(fault)
        copying.bring_up_to_date(DEFAULT_DB_ALIAS)
        with copying.other_database(databases.sqlite(copy)) as other:
            copying.bring_up_to_date(other)
            counts = copying.copy(other, DEFAULT_DB_ALIAS, replace=replace)
    return f"{sum(counts.values())} rows of {snapshot.name} are in the database."
