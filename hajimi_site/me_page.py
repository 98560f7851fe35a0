"""A member's own page: what is left, what was asked, how to connect, and a new password. HTML for people, or JSON."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.utils.translation import gettext_noop as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from keys import enrolling
from keys.ledger import Away
from keys.members import MemberView, Throttled, credential
from keys.models import Member, Source
from proxy import mine, refusals, request_id
from proxy.api import House
from proxy.api_answers import refusal
from proxy.desk.connecting import connection
from proxy.errors import BadRequest, HajimiError, NotReady, WrongPassword
from proxy.paths import Dialect
from proxy.relay import AWAY_SECONDS
from proxy.views.entrance import let_in, runtime_for

# How long a page waits until requests run with a new password.
TAKING_OVER_SECONDS: Final = 5.0

FROM_ENVIRONMENT: Final = _("This password is set by this server's configuration; only its admin can change it.")
NOT_CHANGED: Final = _("The password stays as it is: %(reason)s")
REFUSALS: Final = {
    enrolling.BadPassword: gettext_lazy("A password is printable ASCII, without spaces at its ends."),
    enrolling.PasswordTaken: gettext_lazy(
        "Another member has this password; each member needs a password of their own."
    ),
}
LIMIT_NAMES: Final = {
    "requests_per_minute": gettext_lazy("Requests per minute"),
    "requests_per_day": gettext_lazy("Requests today"),
    "tokens_per_day": gettext_lazy("Tokens today"),
    "parallel_requests": gettext_lazy("Requests running now"),
    "requests_per_day_and_address": gettext_lazy("Requests today from your address"),
}

logger = logging.getLogger(__name__)


# No cookie opens this page, so no other site can use it in a member's name.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def me(request: ASGIRequest) -> HttpResponse:
    """GET or POST /me: the form for the password; with a password (header or form), what its member may know."""
    given = _given(request)
    if not given and request.method != "POST" and not _wants_json(request):
        return render(request, "me.html")
    try:
        member = let_in(_house(request), given, _address(request))
    except HajimiError as error:
        return _refused(request, error)
    return await _shown(request, member)


@csrf_exempt
@never_cache
@require_POST
async def new_password(request: ASGIRequest) -> HttpResponse:
    """POST /me/password: give the member a new password, the one in ``new_password`` or a generated one."""
    try:
        member = let_in(_house(request), _given(request), _address(request))
    except HajimiError as error:
        return _refused(request, error)
    chosen = request.POST.get("new_password", "")
    try:
        if chosen:
            # Whether it is refused as another's or taken tells something about the others' passwords.
            _count_try(request)
        made = await sync_to_async(_change)(member, chosen)
    except HajimiError as error:
        return _refused(request, error) if _wants_json(request) else await _shown(request, member, error=error)
    _house(request).doorkeeper.trust(made, _address(request))
    logger.info("Member %d has given itself a new password", member.id)
    await _taken_over(_house(request), member)
    if _wants_json(request):
        return JsonResponse({"member": member.name, "password": None if chosen else made})
    return await _shown(request, member, made="" if chosen else made, is_changed=True)


def _count_try(request: ASGIRequest) -> None:
    try:
        _house(request).doorkeeper.try_another(_address(request), time.time())
    except Throttled as error:
        raise refusals.too_many_guesses(error.retry_after) from None


def _change(member: MemberView, chosen: str) -> str:
    """Save the new password and return it. Raises HajimiError, and changes nothing then."""
    row = Member.objects.filter(pk=member.id, digest=member.digest).first()
    if row is None:
        raise WrongPassword(refusals.WRONG_PASSWORD)
    if row.source == Source.ENVIRONMENT:
        raise BadRequest(FROM_ENVIRONMENT)
    try:
        if chosen:
            enrolling.check_strength(chosen, row.name)
        return enrolling.give_password(row, chosen)
    except enrolling.Refused as error:
        reason = str(REFUSALS[type(error)]) if type(error) in REFUSALS else str(error)
        raise BadRequest(NOT_CHANGED, {"reason": reason}, param="new_password") from None


async def _taken_over(house: House, member: MemberView) -> None:
    """Wait until requests run with the new password: whoever is told it may use it at once."""
    end = time.monotonic() + TAKING_OVER_SECONDS
    while member.digest in house.runtime.current.members and time.monotonic() < end:  # noqa: ASYNC110 - it is rare
        await asyncio.sleep(0.02)


async def _shown(
    request: ASGIRequest,
    member: MemberView,
    *,
    made: str = "",
    is_changed: bool = False,
    error: HajimiError | None = None,
) -> HttpResponse:
    house, now = _house(request), time.time()
    runtime = runtime_for(house, member)
    zone = timezone.get_default_timezone()
    try:
        limits = await mine.limits_of(member, _address(request), runtime.behaviour, house.ledger, zone, now)
    except Away:
        return _refused(request, NotReady(refusals.LEDGER_AWAY, retry_after=AWAY_SECONDS))
    records = await sync_to_async(mine.records_of)(member, timezone.now())
    document = mine.document(member, runtime, limits, records, now)
    connected = connection(request, member.name, made)
    if _wants_json(request):
        return JsonResponse({**document, "base_url": connected.base_url})
    context = {
        **document,
        "limits": [_line(limit) for limit in limits],
        "requests": [(request_id.shown(log.pk), log) for log in records.requests],
        "may_change": not records.follows_environment,
        "may_record": not records.follows_environment,
        "connection": connected,
        "made": made,
        "is_changed": is_changed,
        "error": error.sentence() if error else "",
        "updated": timezone.localtime(),
    }
    return render(request, "me.html", context, status=error.status if error else 200)


def _line(limit: mine.Limit) -> dict[str, Any]:
    """Return a limit in words."""
    resets = "" if not limit.resets_in else _span(limit.resets_in)
    return {"title": LIMIT_NAMES[limit.name], "name": limit.name, "it": limit, "resets": resets if limit.used else ""}


def _span(seconds: float) -> Any:
    """Return how long that is, in the reader's words."""
    hours, minutes = divmod(max(math.ceil(seconds / 60), 1), 60)
    words = gettext_lazy("%(hours)d h %(minutes)d min") if hours else gettext_lazy("%(minutes)d min")
    return words % {"hours": hours, "minutes": minutes}


def _refused(request: ASGIRequest, error: HajimiError) -> HttpResponse:
    answer = refusal(error, request_id.new(time.time()), Dialect.OPENAI)
    if _wants_json(request):
        return answer
    page = render(request, "me.html", {"error": error.sentence()}, status=error.status)
    if "retry-after" in answer:
        page["retry-after"] = answer["retry-after"]
    return page


def _given(request: ASGIRequest) -> str | None:
    """Return the password of the form or of the headers; one in the address would stay in its bar and in logs."""
    typed: str = request.POST.get("password", "") if request.method == "POST" else ""
    return typed.strip() or credential(request.headers, {})


def _wants_json(request: ASGIRequest) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _address(request: ASGIRequest) -> str:
    client = request.scope.get("client")
    return client[0] if client else ""


def _house(request: ASGIRequest) -> House:
    house: House = request.scope["house"]
    return house
