"""What an admin does to keys, each with its line in the history; the pages and the commands both call these.

Each takes the admin and returns the keys that are not as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from keys import switching
from keys.importing import VARIABLE_OF
from keys.models import Key, Park
from proxy import runtime
from proxy.desk import history
from proxy.desk.history import Admin

TITLES: Final[dict[str, Callable[[], str]]] = {"daily_limit": lambda: _("Daily limit"), "label": lambda: _("Label")}


def disable(admin: Admin, keys: Iterable[Key]) -> list[Key]:
    """Take keys out of the pool."""
    return _each(admin, keys, switching.disable, _("Disabled."))


def enable(admin: Admin, keys: Iterable[Key]) -> list[Key]:
    """Bring keys back into the pool; their parks go on."""
    return _each(admin, keys, switching.enable, _("Enabled."))


@transaction.atomic
def clear_parks(admin: Admin, keys: Iterable[Key]) -> list[Key]:
    """Let resting keys serve again at once."""
    parks = Park.objects.filter(key__in=[key.pk for key in keys])
    resting = list(Key.objects.filter(pk__in=parks.values("key")))
    parks._raw_delete(parks.db)
    history.note(admin, resting, _("Parks cleared."))
    runtime.bump()
    return resting


@transaction.atomic
def set_field(admin: Admin, keys: Iterable[Key], name: str, value: Any) -> list[Key]:
    """Give all of them one ``daily_limit`` or ``label``; the value comes clean out of a form."""
    changed = list(keys)
    Key.objects.filter(pk__in=[key.pk for key in changed]).update(**{name: value})
    history.note(admin, changed, f"{TITLES[name]()}: {'–' if value in (None, '') else value}.")
    runtime.bump()
    return changed


@transaction.atomic
def delete(admin: Admin, keys: Iterable[Key]) -> list[Key]:
    """Delete keys, with their parks. The caller has left out those of ``brought_back``."""
    leaving = list(keys)
    history.deleted(admin, leaving)
    Key.objects.filter(pk__in=[key.pk for key in leaving]).delete()
    return leaving


def brought_back(keys: Iterable[Key]) -> list[Key]:
    """Return those that the next start would add again."""
    return switching.brought_back(keys)


def why_kept(keys: Sequence[Key]) -> str:
    """Say why keys that stand in the environment are not deleted, and what to do."""
    told = ngettext(
        "%(count)d key is not deleted: it stands in %(variables)s and would be back at the next start. "
        "Take it out of there first, or disable it.",
        "%(count)d keys are not deleted: they stand in %(variables)s and would be back at the next start. "
        "Take them out of there first, or disable them.",
        len(keys),
    )
    return told % {"count": len(keys), "variables": ", ".join(sorted({VARIABLE_OF[key.kind] for key in keys}))}


@transaction.atomic
def _each(admin: Admin, keys: Iterable[Key], act: Callable[[Key], bool], sentence: str) -> list[Key]:
    changed = [key for key in keys if act(key)]
    history.note(admin, changed, sentence)
    return changed
