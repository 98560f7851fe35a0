"""The command line: Django's, with a database behind every command of ours."""

from __future__ import annotations

import sys
from typing import Final

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand

OURS: Final = ("hajimi_site.", "keys.", "proxy.")
# They bring the database up to date themselves, or work on whatever stands there.
ON_THEIR_OWN: Final = frozenset({"serve", "backup", "restore", "copy_database"})
HELP: Final = frozenset({"help", "-h", "--help"})


class CommandLine(ManagementUtility):
    """Runs what the words of a command line say."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command; one of ours finds its database there. Raises ImproperlyConfigured."""
        command = super().fetch_command(subcommand)
        is_ours = type(command).__module__.startswith(OURS) and subcommand not in ON_THEIR_OWN
        if is_ours and HELP.isdisjoint(self.argv):
            _prepare()
        return command


def _prepare() -> None:
    # Models can be imported only once Django is set up, which it is when a command is fetched.
    from hajimi_site import backups
    from hajimi_site.preparing import prepare_for_a_command

    if prepare_for_a_command():
        # Somebody may have meant another place. Not among what the command prints, which programs read.
        sys.stderr.write(
            f"The database was not there yet and has been made: {backups.database_file() or 'PostgreSQL'}.\n"
        )
