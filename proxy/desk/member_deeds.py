"""What an admin does to members, each with its line in the history; the pages and the commands both call these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from keys import enrolling
from keys.models import Member
from proxy.desk import history
from proxy.desk.history import Admin


def disable(admin: Admin, members: Iterable[Member]) -> list[Member]:
    """Refuse members from the next request on; return those who got in until now."""
    return _switch(admin, members, False, _("Disabled."))


def enable(admin: Admin, members: Iterable[Member]) -> list[Member]:
    """Let members in again; return those who were out."""
    return _switch(admin, members, True, _("Enabled."))


@transaction.atomic
def delete(admin: Admin, members: Iterable[Member]) -> list[Member]:
    """Delete members. The caller has left out those of ``brought_back``."""
    leaving = list(members)
    history.deleted(admin, leaving)
    for member in leaving:
        member.delete()
    return leaving


def brought_back(members: Iterable[Member]) -> list[Member]:
    """Return those whom the next start would make again."""
    return [member for member in members if enrolling.follows_environment(member)]


def why_kept(members: Sequence[Member]) -> str:
    """Say why a member of the environment is not deleted, and what to do."""
    told = _(
        "The member %(name)s is not deleted: while PASSWORD is set, the next start would make it again. "
        "Unset PASSWORD first, or disable the member."
    )
    return told % {"name": ", ".join(member.name for member in members)}


@transaction.atomic
def _switch(admin: Admin, members: Iterable[Member], enabled: bool, sentence: str) -> list[Member]:
    changed = [member for member in members if member.enabled is not enabled]
    for member in changed:
        # One by one: each save tells the runtime.
        member.enabled = enabled
        member.save(update_fields=["enabled"])
    history.note(admin, changed, sentence)
    return changed
