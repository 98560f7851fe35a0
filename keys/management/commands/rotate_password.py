"""Give a member a new password; the earlier one ends at once."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys import enrolling
from keys.management.documents import add_json_option, document, member_named, tell


class Command(BaseCommand):
    help = "Give a member a new password: generated and printed once, or taken from MEMBER_PASSWORD."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        add_json_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        member = member_named(options["name"])
        given = os.environ.get("MEMBER_PASSWORD", "")
        try:
            if given:
                enrolling.check_strength(given, member.name)
            password = enrolling.give_password(member, given)
        except enrolling.Refused as error:
            raise CommandError(str(error)) from None
        told = {**document(member), "password": None if given else password}
        shown = "" if given else f" Password, shown only now: {password}"
        tell(self, options, told, f"Member {member.name} has a new password; the earlier one no longer works.{shown}")
