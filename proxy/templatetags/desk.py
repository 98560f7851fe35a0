"""Small pieces of the admin's own pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils.safestring import SafeString

from keys.models import Park
from proxy import request_id
from proxy.desk import key_columns, member_columns, outcomes
from proxy.desk.empty_states import EmptyState, state_of
from proxy.desk.member_facts import Use

register = template.Library()


@register.simple_tag
def shown_id(number: int) -> str:
    """Return a request's id as clients see it."""
    return request_id.shown(number)


@register.filter
def to_the_second(moment: datetime) -> str:
    """Return a time to the second."""
    return key_columns.shown_time(moment)


@register.simple_tag
def countdown(park: Park) -> SafeString:
    """Return the time that a key still rests."""
    return key_columns.countdown(park)


@register.simple_tag
def use_bar(use: Use) -> SafeString:
    """Return what is used of a limit, with a bar."""
    return member_columns.use(use)


@register.simple_tag
def outcome_badge(outcome: str, shown: str) -> SafeString:
    """Return an outcome in the colour of what it means."""
    return outcomes.badge(outcome, shown)


@register.simple_tag
def empty_state(changelist: Any) -> EmptyState:
    """Return what an empty list says."""
    return state_of(changelist)
