#!/usr/bin/env python3
"""Runs a management command. `manage.py serve` starts hajimi."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named on the command line; a bad environment value ends in one line."""
    if sys.argv[1:2] == ["serve"]:
        # Before the seconds that importing everything takes.
        from hajimi_site import early_signals

        early_signals.note()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"hajimi cannot start: {error}")


if __name__ == "__main__":
    main()
