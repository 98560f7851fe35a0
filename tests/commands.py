"""Runs commands of `manage.py` in this process, and reads what they print."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from django.core.management import call_command


def run(*words: object) -> str:
    """Run a command and return what it printed. Raises CommandError."""
    out = StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def run_json(*words: object) -> Any:
    """Run a command with ``--json`` and return the document."""
    return json.loads(run(*words, "--json"))
