"""Admin pages of what the proxy does: keys at work, members, request logs, settings, blocked and Google's models."""

from __future__ import annotations

from proxy.admin.keys import KeyAdmin
from proxy.admin.logs import SHOWN_AT_MOST, RequestLogAdmin
from proxy.admin.members import GroupAdmin, MemberAdmin
from proxy.admin.models import BlockedModelAdmin, UpstreamModelAdmin
from proxy.admin.settings import SettingsAdmin

__all__ = [
    "SHOWN_AT_MOST",
    "BlockedModelAdmin",
    "GroupAdmin",
    "KeyAdmin",
    "MemberAdmin",
    "RequestLogAdmin",
    "SettingsAdmin",
    "UpstreamModelAdmin",
]
