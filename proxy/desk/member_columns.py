"""How a member's facts look: badges, bars of today's use."""

from __future__ import annotations

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from keys import enrolling
from keys.models import Member
from proxy.desk.key_columns import badge
from proxy.desk.member_facts import Use


def state(member: Member) -> SafeString:
    """Say whether the member gets in, and if not, why."""
    return format_html('<span class="desk-number">{}</span>', badge(*_state(member)))


def _state(member: Member) -> tuple[str, str]:
    if not member.enabled:
        return _("disabled"), "bad"
    if member.expires_at and member.expires_at <= timezone.now():
        return _("expired"), "bad"
    return (_("enabled"), "good") if enrolling.is_open(member) else (_("has no password"), "waiting")


def use(one: Use) -> SafeString:
    """Show what is used of a limit, with a bar when there is one."""
    used = intcomma(one.used)
    if not one.limit:
        return format_html('<span class="desk-number">{}</span>', used)
    return format_html(
        '<span class="desk-number">{} / {}</span><progress class="desk-use" max="{}" value="{}" aria-label="{}">'
        "</progress>",
        used,
        intcomma(one.limit),
        one.limit,
        min(one.used, one.limit),
        _("Used today"),
    )
