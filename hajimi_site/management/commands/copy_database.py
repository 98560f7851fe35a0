"""Moves everything to another database: from SQLite to PostgreSQL, or back."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, Error

from hajimi_site import copying, databases, running
from hajimi_site.kinds import DATABASE_URL, Unfit


class Command(BaseCommand):
    help = "Copy every row of the present database to another one, and count them. Stop hajimi first."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the other database's address, and the leave to overwrite it."""
        parser.add_argument("--to", required=True, metavar="URL", help=f"the other database: {DATABASE_URL.allowed}")
        parser.add_argument("--replace", action="store_true", help="overwrite what the other database holds")
        parser.add_argument("--force", action="store_true", help="even if a hajimi seems to run on one of the two")

    def handle(self, *args: Any, to: str, replace: bool, force: bool, **options: Any) -> None:
        """Copy, and print how many rows each table has."""
        try:
            config = databases.from_url(DATABASE_URL.read(to))
        except Unfit:
            raise CommandError(f"--to must be {DATABASE_URL.allowed}.") from None
        try:
            with copying.other_database(config) as other:
                for alias in () if force else (DEFAULT_DB_ALIAS, other):
                    running.check_stopped(alias)
                copying.bring_up_to_date(other)
                counts = copying.copy(DEFAULT_DB_ALIAS, other, replace=replace)
        except running.Running as error:
            raise CommandError(
                f"{error}; stop it first, or its next requests would be lost. (--force copies all the same.)"
            ) from None
        except (copying.NotCopied, Error, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"Nothing was copied: {reason}.") from None
        for table, count in sorted(counts.items()):
            self.stdout.write(f"{count:10}  {table}")
        self.stdout.write(
            f"{sum(counts.values())} rows copied, the counts agree. Start hajimi with DATABASE_URL set to the new "
            "database, and with the same SECRET_KEY (or the file secret_key in DATA_DIR)."
        )
