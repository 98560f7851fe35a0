"""Take an admin's second factor away, for the day when phone and recovery codes are gone."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hajimi_site import second_factor


class Command(BaseCommand):
    help = "Take an admin's second factor away: the password alone opens again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["username"]
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no admin named {name}.")
        removed = second_factor.remove(user)
        self.stdout.write(f"The second factor of {name} is gone." if removed else f"{name} has no second factor.")
