"""Add the keys that stand in a file or come on standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys.accounts import BadAccount
from keys.importing import Credential, Finding, Imported, Parsed, accounts_in, import_credentials, parse_keys
from keys.management.documents import add_json_option, tell
from keys.models import Source

TOLD_WORDS: Final = 50


class Command(BaseCommand):
    help = "Add the keys or service accounts found in a text file, or on standard input. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="a text file; - reads standard input (the default)")
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        parsed, credentials = _read(_text(options["file"]))
        malformed = [finding for finding in parsed.findings if finding.first_line is None]
        self._complain(malformed)
        if not credentials:
            raise CommandError("There is no key in it; nothing was added.")
        imported = import_credentials(credentials, Source.ADMIN)
        sentence = (
            f"{imported.added} added, {imported.known} already there ({imported.revived} of them came back), "
            f"{parsed.duplicates} repeated."
        )
        tell(self, options, _document(parsed, malformed, imported), sentence)

    def _complain(self, malformed: Sequence[Finding]) -> None:
        for finding in malformed[:TOLD_WORDS]:
            self.stderr.write(f"Line {finding.line}: {finding.hint} is not a key, left out.")
        if more := len(malformed[TOLD_WORDS:]):
            self.stderr.write(f"{more} more are not keys, left out.")


def _read(text: str) -> tuple[Parsed, Sequence[Credential]]:
    try:
        accounts = accounts_in(text)
    except BadAccount as error:
        raise CommandError(f"This cannot be used: {error}.") from None
    parsed = Parsed({}, ()) if accounts else parse_keys(text)
    return parsed, accounts or [Credential.of_key(secret) for secret in parsed.keys]


def _document(parsed: Parsed, malformed: Sequence[Finding], imported: Imported) -> dict[str, Any]:
    return {
        "added": imported.added,
        "already_there": imported.known,
        "came_back": imported.revived,
        "repeated": [
            {"line": one.line, "key": one.hint, "first_line": one.first_line}
            for one in parsed.findings
            if one.first_line is not None
        ],
        "not_keys": [{"line": one.line, "word": one.hint} for one in malformed],
    }


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(errors="replace")
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
