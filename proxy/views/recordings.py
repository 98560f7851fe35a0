"""A member's own recordings: switched on, looked at and deleted by that member only."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from django.utils.translation import gettext_noop as _

from keys.members import MemberView, credential
from proxy import errors
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.recording import MOST
from proxy.views.entrance import document_of, member_of

BAD_COUNT: Final = _("%(param)s must be a whole number from 1 to %(most)s.")
SHARED_PASSWORD: Final = _(
    "Others may have this password too, for it is set by this server's configuration: "
    "only a member with a password of its own can record requests."
)


async def shelf(request: ApiRequest) -> HttpResponse:
    """GET /v1/me/recordings: what was recorded, and how many requests are still to be."""
    return await _told(request, member_of(request))


async def start(request: ApiRequest) -> HttpResponse:
    """POST /v1/me/recordings: record the next ``count`` requests.

    Raises BadRequest for a member whose password others have: each would read what all of them say.
    """
    member = member_of(request)
    if member.follows_environment:
        raise errors.BadRequest(SHARED_PASSWORD)
    document = document_of(request)
    count = document.get("count") if isinstance(document, dict) else None
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise errors.BadRequest(BAD_COUNT, {"param": "count", "most": MOST}, param="count")
    await request.house.recorder.wish(member.id, count)
    return await _told(request, member)


async def end(request: ApiRequest) -> HttpResponse:
    """DELETE /v1/me/recordings: record no more, and delete everything."""
    member = member_of(request)
    await request.house.recorder.forget(member.id)
    return await _told(request, member)


async def _told(request: ApiRequest, member: MemberView) -> HttpResponse:
    # These requests themselves are never recorded.
    request.tape = None
    password = credential(request.headers, request.GET) or ""
    found = await request.house.recorder.shelf(member.id, password)
    until = found.until.isoformat(timespec="seconds") if found.until else None
    answer = answer_json({"left": found.left, "until": until, "recordings": found.recordings})
    answer["cache-control"] = "no-store"
    return answer
