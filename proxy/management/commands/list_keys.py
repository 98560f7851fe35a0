"""Print the keys with their states and what they have served today."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from keys.management.documents import add_json_option
from keys.models import Key
from proxy.desk.key_facts import facts_of
from proxy.management.documents import key_document


class Command(BaseCommand):
    help = "Print the keys: the last characters, state, use today, success in 24 hours, the last error."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        keys = list(Key.objects.all())
        facts = facts_of(keys, timezone.now())
        told = [key_document(key, facts[key.pk]) for key in keys]
        if options["json"]:
            self.stdout.write(json.dumps({"keys": told}, ensure_ascii=False, indent=2))
            return
        for one in told:
            self.stdout.write(_line(one))
        if not told:
            self.stdout.write("There is no key yet: manage.py import_keys FILE.")


def _line(one: dict[str, Any]) -> str:
    name = f"{one['label']} {one['key']}".strip()
    used = f"{one['used_today']}/{one['daily_limit']}" if one["daily_limit"] else str(one["used_today"])
    success = "" if one["success_percent"] is None else f", {one['success_percent']} % answered"
    parks = "".join(f"; {park['model'] or 'all models'} rest until {park['until']}" for park in one["parks"])
    return f"{one['id']} {name}: {one['state']}, {used} today{success}{parks}"
