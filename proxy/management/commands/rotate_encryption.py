"""Encrypts everything stored with the present SECRET_KEY, so that the earlier one can go."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from keys import vault
from keys.models import Key, Secret
from proxy.models import ThoughtSignature

WHAT = (("keys", Key), ("secrets of this installation", Secret), ("thought signatures", ThoughtSignature))


class Command(BaseCommand):
    help = "Re-encrypt with SECRET_KEY what SECRET_KEY_FALLBACKS can read; then the fallbacks can be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for name, model in WHAT:
            done = vault.rotate_rows(model._default_manager.all())
            unreadable += done.unreadable
            self.stdout.write(f"{name}: {done.seen}, encrypted anew: {done.renewed}, unreadable: {done.unreadable}")
        if unreadable:
            raise CommandError(
                f"{unreadable} stored secrets can be read with neither SECRET_KEY nor SECRET_KEY_FALLBACKS; "
                "they are left as they are. Add the key they were encrypted with to SECRET_KEY_FALLBACKS."
            )
        if settings.SECRET_KEY_FALLBACKS:
            self.stdout.write("SECRET_KEY_FALLBACKS can be removed. Restart hajimi if it ran meanwhile.")
