"""The dashboard's page, and its snapshot for pages whose websocket does not get through."""

from __future__ import annotations

from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from keys.standing import KeyState
from proxy.dashboard.first_steps import first_steps
from proxy.dashboard.hub import Hub
from proxy.models import Outcome

SOCKET_PATH: Final = "/admin/dashboard/live"

STATES: Final = {
    KeyState.READY: _("ready"),
    "partly": _("of these resting for some models"),
    KeyState.PARKED: _("parked"),
    KeyState.EXHAUSTED: _("day used up"),
    KeyState.DISABLED: _("disabled"),
    KeyState.UNREADABLE: _("not decryptable"),
}
# What the page's script says; {0}, {1} are filled in there.
WORDS: Final = {
    "connecting": _("Connecting …"),
    "live": _("Live"),
    "polling": _("Live, asking every 2 seconds: the websocket does not get through"),
    "lost": _("Connection lost; these numbers are of {0}. Trying again …"),
    "logged_out": _("You are logged out."),
    "log_in": _("Log in again"),
    "answered": _("answered"),
    "failed": _("failed"),
    "refused": _("refused"),
    "tokens": _("tokens"),
    "working": _("waiting for the first output"),
    "speaking": _("answering"),
    "seconds": _("{0} s"),
    "minutes": _("{0} min"),
    "hours": _("{0} h {1} min"),
    "no_limit": _("no known limit"),
    "left": _("{0} left"),
    "guessed": _("about {0} left"),
    "used": _("{0} used today"),
    "ready_keys": _("{0} of {1} keys ready"),
    "returns": _("no key ready; the first returns at {0}"),
    "no_key": _("no key serves it"),
    "lasts": _("lasts until the day ends"),
    "ends": _("used up at {0}"),
    "gone": _("used up until {0}"),
    "times": _("{0} times"),
    "state_well": _("Google answers well."),
    "state_shaky": _("Some of Google's answers fail."),
    "state_failing": _("Most of Google's answers fail."),
    "state_out": _("Google is out; requests are refused until it answers again."),
    "state_quiet": _("Nothing was asked in the last 15 minutes."),
    "outage": _("{0} is not asked until {1}: {2} attempts in a row failed."),
    "outage_model": _("{0} is not asked for {3} until {1}: {2} attempts in a row failed."),
    "last_answer": _("Last answer: {0}"),
    "last_fault": _("Last fault: {0}, {1}"),
    "waiting": _("The database is away: {0} log entries wait for it."),
    "and_more": _("and {0} more"),
    "nobody": _("unknown"),
}


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Return what the dashboard's template needs. Synchronous."""
    language = get_language()
    return {
        "first_steps": first_steps(),
        "client_url": request.build_absolute_uri("/v1"),
        "states": STATES,
        "dashboard": {
            "language": language,
            "socket": f"{SOCKET_PATH}?language={language}",
            "snapshot": reverse("admin:dashboard_snapshot"),
            "login": f"{reverse('admin:login')}?next={reverse('admin:index')}",
            "words": {name: str(text) for name, text in WORDS.items()},
            "outcomes": {str(value): str(label) for value, label in Outcome.choices},
        },
    }


@require_safe
async def snapshot(request: HttpRequest) -> HttpResponse:
    """Answer with the snapshot of this second, in the page's language."""
    if not await sync_to_async(admin.site.has_permission)(request):
        return JsonResponse({"error": gettext("You are logged out.")}, status=403)
    hub: Hub = request.scope["dashboard"]  # type: ignore[attr-defined]
    answer = HttpResponse(await hub.latest(get_language()), content_type="application/json")
    answer["cache-control"] = "no-store"
    return answer
