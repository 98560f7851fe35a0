"""Create a member and print the password, if it was made here."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from keys import enrolling
from keys.management.documents import add_json_option, add_limit_options, clean, document, limits_in, tell
from keys.models import Group, Member


class Command(BaseCommand):
    help = "Create a member. The password is generated and printed once, or taken from MEMBER_PASSWORD."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--group", help="name of a group, made when it does not exist")
        parser.add_argument("--expires-at", metavar="WHEN", help="a day or a time, like 2027-01-31 or 2027-01-31T18:00")
        parser.add_argument("--note", default="")
        add_limit_options(parser)
        add_json_option(parser)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["name"]
        if Member.objects.filter(name=name).exists():
            raise CommandError(f"There is a member named {name} already.")
        fields = {"note": options["note"], "expires_at": _moment(options["expires_at"]), **limits_in(options)}
        clean(Member(name=name, **fields))
        group = self._group(options["group"])
        # Not an argument: those stand in the list of processes for everybody to read.
        given = os.environ.get("MEMBER_PASSWORD", "")
        try:
            if given:
                enrolling.check_strength(given, name)
            member, password = enrolling.enrol(name, given, group=group, **fields)
        except enrolling.Refused as error:
            raise CommandError(str(error)) from None
        told = {**document(member), "password": None if given else password}
        shown = "" if given else f" Password, shown only now: {password}"
        tell(self, options, told, f"Member {name} created.{shown}")

    def _group(self, name: str | None) -> Group | None:
        if not name:
            return None
        group = Group.objects.filter(name=name).first()
        if group is None:
            group = Group(name=name)
            clean(group)
            group.save()
        return group


def _moment(text: str | None) -> datetime | None:
    """Read a day or a time; one without a zone is in TZ."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--expires-at: {text} is no day or time; write it like 2027-01-31 or 2027-01-31T18:00."
        ) from None
    moment = found if timezone.is_aware(found) else timezone.make_aware(found)
    if moment <= timezone.now():
        raise CommandError(f"--expires-at: {text} has passed.")
    return moment
