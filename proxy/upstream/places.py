"""Where Google is, as the settings say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """Where Google is. ``vertex_base_url`` "": Google's own address for ``vertex_location``."""

    base_url: str
    vertex_base_url: str = ""
    vertex_location: str = "global"
