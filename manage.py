#!/usr/bin/env python3
"""Runs a management command. `manage.py serve` starts hajimi."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named on the command line; a bad environment value ends in one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
    from django.core.exceptions import ImproperlyConfigured

    from hajimi_site.command_line import CommandLine

    try:
        CommandLine(sys.argv).execute()
    except ImproperlyConfigured as error:
        sys.exit(f"hajimi cannot start: {error}")


if __name__ == "__main__":
    main()
