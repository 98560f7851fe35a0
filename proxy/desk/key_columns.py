"""How a key's facts look in the list: badges, countdowns, a bar of today's use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from keys.models import Key, Park
from proxy.desk.key_facts import Facts, State

_SHOWN_PARKS: Final = 3
STATE_NAMES: Final = {
    State.READY: gettext_lazy("ready"),
    State.PARKED: gettext_lazy("parked"),
    State.EXHAUSTED: gettext_lazy("exhausted"),
    State.DISABLED: gettext_lazy("disabled"),
    State.UNDECRYPTABLE: gettext_lazy("undecryptable"),
}
_TONES: Final = {
    State.READY: "good",
    State.PARKED: "waiting",
    State.EXHAUSTED: "waiting",
    State.DISABLED: "bad",
    State.UNDECRYPTABLE: "bad",
}


def badge(text: object, tone: str = "", title: object = "") -> SafeString:
    """Return a small coloured label; ``tone`` is good, waiting, bad or none."""
    return format_html('<span class="desk-badge {}" title="{}">{}</span>', tone and f"desk-{tone}", title, text)


def state(key: Key, facts: Facts) -> SafeString:
    """Say whether the pool may use the key, and if not, why and until when."""
    return badge(_sentence(key, facts), _TONES[facts.state], _hint(facts.state))


def parks(facts: Facts) -> SafeString | str:
    """List the models that a key rests for, with countdowns; the first to end comes first."""
    if not facts.parks:
        return "–"
    shown = format_html_join("", "<li>{}</li>", ((park(one),) for one in facts.parks[:_SHOWN_PARKS]))
    more = len(facts.parks) - _SHOWN_PARKS
    return format_html('<ul class="desk-parks">{}{}</ul>', shown, format_html("<li>+{}</li>", more) if more > 0 else "")


def park(one: Park) -> SafeString:
    """Say until when a key rests, and why."""
    until = localize(timezone.localtime(one.until))
    told = _("%(model)s parked until %(until)s") % {"model": one.model or "*", "until": until}
    return format_html(
        '<span title="{}: {}">{} {}</span>', told, one.get_reason_display(), one.model or "*", countdown(one)
    )


def countdown(one: Park) -> SafeString:
    """Return the time left; a script counts it down."""
    left = max(int((one.until - timezone.now()).total_seconds()), 0)
    hours, minutes, seconds = left // 3600, left // 60 % 60, left % 60
    shown = f"{hours}:{minutes:02}:{seconds:02}"
    return format_html('<time class="desk-countdown" datetime="{}">{}</time>', one.until.isoformat(), shown)


def shown_time(moment: datetime) -> str:
    """Return a time to the second, in the house's own zone, in a form that sorts."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"


def today(facts: Facts) -> SafeString:
    """Show the answers of Google's day against their limit."""
    if not facts.limit:
        return format_html('<span class="desk-number">{}</span>', facts.used)
    return format_html(
        '<span class="desk-number">{} / {}</span><progress class="desk-use" max="{}" value="{}" aria-label="{}">'
        "</progress>",
        facts.used,
        facts.limit,
        facts.limit,
        min(facts.used, facts.limit),
        _("Used today"),
    )


def success(facts: Facts) -> SafeString | str:
    """Show how many of the last 24 hours' attempts were answered."""
    if facts.success is None:
        return "–"
    title = _("%(good)d of %(tried)d attempts in the last 24 hours") % {"good": facts.good, "tried": facts.tried}
    return format_html('<span class="desk-number" title="{}">{} %</span>', title, facts.success)


def error(facts: Facts) -> SafeString | str:
    """Show the latest sentence of a failed attempt."""
    if not facts.error:
        return "–"
    when = localize(timezone.localtime(facts.failed_at)) if facts.failed_at else ""
    return format_html('<span class="desk-sentence" title="{}: {}">{}</span>', when, facts.error, facts.error)


def plain_state(key: Key, facts: Facts) -> str:
    """The same state as words, for files."""
    return _sentence(key, facts)


def _sentence(key: Key, facts: Facts) -> str:
    if facts.state is State.DISABLED:
        return _("disabled: %(reason)s") % {"reason": key.disabled_reason or key.get_disabled_by_display()}
    if facts.state is State.PARKED:
        return _parked(facts.parks)
    return str(STATE_NAMES[facts.state])


def _parked(parks: Iterable[Park]) -> str:
    whole = [one for one in parks if not one.model]
    if whole:
        return _("parked until %(until)s") % {"until": localize(timezone.localtime(whole[-1].until))}
    return _("parked for some models")


def _hint(state: State) -> str:
    match state:
        case State.PARKED:
            return _("It rests, and comes back by itself.")
        case State.EXHAUSTED:
            return _("Its daily limit is used up; it comes back at midnight Pacific time.")
        case State.UNDECRYPTABLE:
            return _("It was stored with another SECRET_KEY and cannot be read.")
    return ""
