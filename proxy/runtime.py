"""Database -> the frozen snapshot that one request runs with."""

from __future__ import annotations


def watch_models() -> None:
    """Let saved rows move the revision."""
