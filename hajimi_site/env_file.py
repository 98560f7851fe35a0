"""Reads the .env file into the environment; what the environment already says wins."""

from __future__ import annotations

import io
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

_LINE = re.compile(r"\s*(#.*)?|(export )?[A-Za-z_][A-Za-z_0-9]*=.*")


class BadEnvFile(ImproperlyConfigured):
    """The file cannot be read or understood. The message names the line, never what it holds."""


def load(path: Path, into: MutableMapping[str, str]) -> None:
    """Add the variables of the file at ``path`` to ``into`` where they are unset or empty. No file: nothing happens."""
    if not path.is_file():
        return
    for name, value in _parsed(path, _text(path)).items():
        if not into.get(name, "").strip():
            into[name] = value


def _text(path: Path) -> str:
    try:
        # Editors on Windows put a byte order mark in front.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadEnvFile(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise BadEnvFile(f"{path} cannot be read ({error.strerror}).") from None


def _parsed(path: Path, text: str) -> dict[str, str]:
    for number, line in enumerate(text.splitlines(), start=1):
        # django-environ would print such a line to the log, and it may hold a secret.
        if not _LINE.fullmatch(line):
            raise BadEnvFile(f"Line {number} of {path} is not NAME=value; a value must stand on one line.")

    found: dict[str, str] = {}
    # read_env writes into the class's ENVIRON, which is os.environ where no subclass says otherwise.
    file: Any = type("File", (environ.Env,), {"ENVIRON": found})
    file.read_env(io.StringIO(text))
    return found
