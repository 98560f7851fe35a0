#!/usr/bin/env python3
"""Runs a management command. `manage.py serve` starts hajimi."""

from __future__ import annotations

import logging
import os
import sys


def main() -> None:
    """Run the command named on the command line; a bad environment value ends in one line."""
    is_serving = sys.argv[1:2] == ["serve"]
    if is_serving:
        # Before the seconds that importing everything takes.
        from hajimi_site import early_signals

        early_signals.note()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
    from django.core.exceptions import ImproperlyConfigured

    from hajimi_site.command_line import CommandLine

    try:
        CommandLine(sys.argv).execute()
    except ImproperlyConfigured as error:
        from hajimi_site import log_lines

        # Of a bad .env nothing may be known; else it has been read into the environment.
        log_format = os.environ.get("LOG_FORMAT", "") if is_serving else ""
        sys.exit(log_lines.told(f"hajimi cannot start: {error}", log_format.strip().lower(), level=logging.ERROR))


if __name__ == "__main__":
    main()
