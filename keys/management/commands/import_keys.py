"""Add the keys that stand in a file or come on standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys.importing import Imported, Parsed, import_keys, parse_keys
from keys.management.documents import add_json_option, tell
from keys.models import Source


class Command(BaseCommand):
    help = "Add the keys found in a text file, or on standard input. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="a text file; - reads standard input (the default)")
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        parsed = parse_keys(_text(options["file"]))
        imported = import_keys(parsed.keys, Source.ADMIN)
        for finding in parsed.findings:
            if finding.first_line is None:
                self.stderr.write(f"Line {finding.line}: {finding.hint} is not a key, left out.")
        sentence = (
            f"{imported.added} added, {imported.known} already there ({imported.revived} of them came back), "
            f"{parsed.duplicates} repeated."
        )
        tell(self, options, _document(parsed, imported), sentence)


def _document(parsed: Parsed, imported: Imported) -> dict[str, Any]:
    return {
        "added": imported.added,
        "already_there": imported.known,
        "came_back": imported.revived,
        "repeated": [
            {"line": one.line, "key": one.hint, "first_line": one.first_line}
            for one in parsed.findings
            if one.first_line is not None
        ],
        "not_keys": [{"line": one.line, "word": one.hint} for one in parsed.findings if one.first_line is None],
    }


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(errors="replace")
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
