"""Keys out of the pool and back in, by a person's choice."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from keys import vault
from keys.importing import environment_credentials
from keys.models import Key, Source


def disable(key: Key, reason: str = "") -> bool:
    """Take a key out until somebody enables it. False when an admin had done so already."""
    if key.disabled_by == Key.DisabledBy.ADMIN:
        return False
    key.disabled_by, key.disabled_reason = Key.DisabledBy.ADMIN, reason
    _save(key)
    return True


def enable(key: Key) -> bool:
    """Bring a key back, whoever disabled it; its parks go on. False when it was enabled."""
    if key.is_enabled:
        return False
    if key.disabled_by == Key.DisabledBy.ENVIRONMENT:
        # It is the admin's now: the next start must not take it out again.
        key.source = Source.ADMIN
    key.disabled_by, key.disabled_reason = Key.DisabledBy.NOBODY, ""
    _save(key)
    return True


def brought_back(keys: Iterable[Key]) -> list[Key]:
    """Return those of the keys that stand in a variable of the environment: deleted, the next start would add them.

    Where a key came from does not tell: an admin may have imported one that stands in a variable as well.
    """
    given = environment_credentials(
        settings.GEMINI_API_KEYS, settings.VERTEX_EXPRESS_API_KEY, settings.GOOGLE_CREDENTIALS_JSON
    )
    digests = {vault.digest(one.identity) for all_of_kind in given.values() for one in all_of_kind}
    return [key for key in keys if key.digest in digests]


def _save(key: Key) -> None:
    # save(), not update(): the runtime is told by the signal.
    key.save(update_fields=["disabled_by", "disabled_reason", "source"])
