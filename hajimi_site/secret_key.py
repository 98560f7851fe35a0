"""The SECRET_KEY of this installation: a file made once in DATA_DIR when the environment names none."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured

SHORTEST: Final = 32
# How the samples' texts begin.
_OF_A_SAMPLE: Final = "change-me"


class BadDataDir(ImproperlyConfigured):
    """DATA_DIR, or the key file in it, cannot be used."""


def kept_in(folder: Path) -> str:
    """Return the key kept in ``folder``; make folder and key (mode 0600) when there are none. Raises BadDataDir."""
    path = folder / "secret_key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its key file is damaged"
        raise BadDataDir(
            f"DATA_DIR is set to {str(folder)!r}, which cannot be used ({reason}); "
            "it must be a folder this user may write to."
        ) from None
    if not key:
        raise BadDataDir(f"{path} is empty. Put the installation's key back, or delete the file to begin anew.")
    return key


def advice(key: str) -> tuple[str, ...]:
    """Return a warning when a SECRET_KEY of the environment can be guessed; "" stands for none set."""
    if not key or (len(key) >= SHORTEST and not key.startswith(_OF_A_SAMPLE)):
        return ()
    return (
        f"WARNING: SECRET_KEY is shorter than {SHORTEST} characters, or a sample's text: who gets the database or a "
        "backup may guess it, and read the keys. docs/security.md says how to change it.",
    )


def _make(path: Path) -> None:
    """Write a new key whole or not at all; of two processes at once, the first one's stays."""
    handle, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    except OSError:
        # Some file systems know no hard links.
        draft.rename(path)
