"""Takes a snapshot of the database, SQLite or PostgreSQL, while hajimi runs or not."""

from __future__ import annotations

import sqlite3
import tempfile
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from hajimi_site import backups, copying, databases, snapshots


class Command(BaseCommand):
    help = "Take a checked snapshot of the database, a SQLite file; hajimi may run meanwhile."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a folder."""
        parser.add_argument("folder", nargs="?", type=Path, help="where to put it; else BACKUP_DIR, DATA_DIR/backups")

    def handle(self, *args: Any, folder: Path | None, **options: Any) -> None:
        """Take it, and say where it lies."""
        place = folder or settings.BACKUP_DIR or settings.DATA_DIR / "backups"
        try:
            taken = _take(place.expanduser().resolve())
        except (snapshots.Unsound, copying.NotCopied, sqlite3.Error, OSError) as error:
            raise CommandError(f"No snapshot was taken: {error}.") from None
        self.stdout.write(f"Snapshot {taken} taken.")
        if settings.SECRET_KEY_IS_FILE:
            self.stdout.write(
                f"To be read it needs the key in {settings.DATA_DIR / 'secret_key'}, which is not part of it."
            )


def _take(folder: Path) -> Path:
    now = datetime.now(UTC)
    if database := backups.database_file():
        if not database.exists():
            raise snapshots.Unsound(f"there is no database {database} yet")
        return snapshots.take(database, folder, now)
    with tempfile.TemporaryDirectory(prefix="hajimi-backup-") as local:
        copy = Path(local) / "hajimi.sqlite3"
        with copying.other_database(databases.sqlite(copy)) as other:
            copying.bring_up_to_date(other)
            copying.copy(DEFAULT_DB_ALIAS, other, replace=True)
        return snapshots.take(copy, folder, now)
