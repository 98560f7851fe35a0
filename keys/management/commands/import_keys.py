"""Add the keys that stand in a file or come on standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys.importing import import_keys, parse_keys
from keys.models import Source


class Command(BaseCommand):
    help = "Add the keys found in a text file, or on standard input. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="a text file; - reads standard input (the default)")

    def handle(self, *args: Any, **options: Any) -> None:
        parsed = parse_keys(_text(options["file"]))
        imported = import_keys(parsed.keys, Source.ADMIN)
        if parsed.malformed:
            self.stderr.write(f"Not a key, left out (first letters and length): {', '.join(parsed.malformed)}")
        self.stdout.write(
            f"{imported.added} added, {imported.known} already there ({imported.revived} of them came back), "
            f"{parsed.duplicates} repeated."
        )


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(errors="replace")
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
