"""Admin pages: members and groups, parks, usage. The keys' own pages stand in proxy.admin: they show attempts."""

from __future__ import annotations

from keys.admin.records import ParkAdmin, UsageAdmin

__all__ = ["ParkAdmin", "UsageAdmin"]
