"""Deletes request logs that are older than they have to be kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from keys.management.documents import add_json_option, tell
from proxy import retention, runtime


class Command(BaseCommand):
    help = "Delete request logs older than LOG_RETENTION_DAYS, and parks that have ended."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="instead of LOG_RETENTION_DAYS")
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        if days is None:
            days = runtime.current_behaviour().log_retention_days
        if days < 1:
            raise CommandError("--days must be 1 or more.")
        pruned = retention.prune(timezone.now(), days)
        sentence = (
            f"Deleted {pruned.logs} request logs and {pruned.usage} counts of addresses older than {days} days, "
            f"and {pruned.parks} parks that had ended."
        )
        tell(self, options, {"days": days, **asdict(pruned)}, sentence)
