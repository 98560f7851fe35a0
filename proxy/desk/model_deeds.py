"""What an admin does to models for everybody, with its line in the history; the pages and the commands call these."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from proxy.desk import history
from proxy.desk.history import Admin
from proxy.models import BlockedModel


@transaction.atomic
def block(admin: Admin, patterns: Iterable[str], note: str = "") -> list[BlockedModel]:
    """Hide and refuse models from the next request on; return the rows that were not there yet."""
    wanted = dict.fromkeys(patterns)
    known = set(BlockedModel.objects.filter(pattern__in=wanted).values_list("pattern", flat=True))
    # One save for each: each tells the runtime, and there are few.
    rows = [BlockedModel.objects.create(pattern=name, note=note) for name in wanted if name not in known]
    history.note(admin, rows, _("Blocked."))
    return rows


@transaction.atomic
def unblock(admin: Admin, rows: Iterable[BlockedModel]) -> list[BlockedModel]:
    """Let models be listed and used again."""
    leaving = list(rows)
    history.deleted(admin, leaving)
    for row in leaving:
        row.delete()
    return leaving
