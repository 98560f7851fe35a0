"""Keys out of the pool and back in, by a person's choice."""

from __future__ import annotations

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


def _save(key: Key) -> None:
    # save(), not update(): the runtime is told by the signal.
    key.save(update_fields=["disabled_by", "disabled_reason", "source"])
