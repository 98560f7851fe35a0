"""Create a member and print the password, if it was made here."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys import enrolling
from keys.models import Group, Member


class Command(BaseCommand):
    help = "Create a member. The password is generated and printed once, or taken from MEMBER_PASSWORD."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--group", help="name of a group, made when it does not exist")
        parser.add_argument("--requests-per-minute", type=int)
        parser.add_argument("--requests-per-day", type=int)
        parser.add_argument("--tokens-per-day", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        limits = {name: options[name] for name in ("requests_per_minute", "requests_per_day", "tokens_per_day")}
        if any(limit is not None and limit < 0 for limit in limits.values()):
            raise CommandError("A limit is a whole number, 0 or more.")
        name: str = options["name"]
        if Member.objects.filter(name=name).exists():
            raise CommandError(f"There is a member named {name} already.")
        group = Group.objects.get_or_create(name=options["group"])[0] if options["group"] else None
        # Not an argument: those stand in the list of processes for everybody to read.
        given = os.environ.get("MEMBER_PASSWORD", "")
        try:
            _, password = enrolling.enrol(name, given, group=group, **limits)
        except (enrolling.BadPassword, enrolling.PasswordTaken) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Member {name} created." + ("" if given else f" Password, shown only now: {password}"))
