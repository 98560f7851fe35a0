"""Moves in from another proxy: keys, members and settings out of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hajimi_site.env_file import BadEnvFile
from hajimi_site.moving_in.luggage import Unreadable
from hajimi_site.moving_in.reading import READERS
from hajimi_site.moving_in.settling import Counts, Report, settle


class Command(BaseCommand):
    help = (
        "Move in from another proxy. hajimi: settings.json or a file of variables; gemini-balance: its SQLite "
        "database or a file of variables; one-api, new-api: their SQLite database. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("proxy", choices=READERS)
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="only say what would become of it")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = settle(READERS[options["proxy"]](options["file"]), dry_run=options["dry_run"])
        except (Unreadable, BadEnvFile) as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(report.document(), ensure_ascii=False, indent=2))
        else:
            self._tell(report, "would be added" if options["dry_run"] else "added")

    def _tell(self, report: Report, added: str) -> None:
        for name, counts in (("Keys", report.keys), ("Members", report.members), ("Settings", report.settings)):
            self.stdout.write(f"{name}: {_sentence(counts, added)}.")
        for note in report.notes:
            self.stdout.write(note)


def _sentence(counts: Counts, added: str) -> str:
    refused = f", {counts.refused} cannot be used" if counts.refused else ""
    return f"{counts.added} {added}, {counts.skipped} already there{refused}"
