"""Admin pages: keys and their parks, members and groups, usage."""

from __future__ import annotations

from keys.admin.keys import KeyAdmin
from keys.admin.members import GroupAdmin, MemberAdmin
from keys.admin.records import ParkAdmin, UsageAdmin

__all__ = ["GroupAdmin", "KeyAdmin", "MemberAdmin", "ParkAdmin", "UsageAdmin"]
