"""Probes of keys from the admin: a few at once, many in steps that the page shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from keys.models import Key
from keys.pool import PoolKey
from proxy import probe, runtime

# As many are asked while one waits; more are asked by the page, which shows how far it is.
AT_ONCE: Final = 12
STEP: Final = 8


@admin.action(description=_("Probe the selected keys (uses up no quota)"), permissions=["change"])
def probe_selected(model_admin: Any, request: HttpRequest, chosen: QuerySet[Key]) -> HttpResponse | None:
    """Ask Google about each key; disable those it refuses, bring back those it had refused before."""
    ids = list(chosen.order_by("pk").values_list("pk", flat=True))
    if len(ids) > AT_ONCE:
        return probe_page(model_admin, request, ids)
    probes, settled = _probe(ids)
    for key, probed in probes:
        if probed.verdict is not None:
            messages.warning(request, f"…{key.tail}: {probed.verdict.message}")
    good = sum(probed.verdict is None for _key, probed in probes)
    told = ngettext("%(good)d of %(all)d key answers.", "%(good)d of %(all)d keys answer.", len(probes))
    messages.info(request, told % {"good": good, "all": len(probes)})
    if settled.revived or settled.disabled:
        told = _now("Brought back: %(revived)d. Disabled: %(disabled)d.")
        messages.info(request, told % {"revived": settled.revived, "disabled": settled.disabled})
    return None


def probe_page(model_admin: Any, request: HttpRequest, ids: list[int]) -> HttpResponse:
    """Show a page that probes these keys step by step."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": _("Probe keys"),
        "ids": ",".join(map(str, ids)),
        "step": STEP,
        "count": len(ids),
    }
    return TemplateResponse(request, "admin/keys/key/probe.html", context)


def probe_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """POST: probe the keys named in ``ids``; with ``step``, a few of them, answered for the page's script."""
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    try:
        ids = [int(word) for word in request.POST.get("ids", "").split(",") if word]
    except ValueError:
        return HttpResponseBadRequest("ids")
    if request.method != "POST" or "step" not in request.POST:
        return probe_page(model_admin, request, ids or list(Key.objects.order_by("pk").values_list("pk", flat=True)))
    probes, settled = _probe(set(ids[: 2 * STEP]))
    told = [
        {
            "tail": key.tail,
            "good": probed.verdict is None,
            "text": _answer(probed),
        }
        for key, probed in probes
    ]
    return JsonResponse({"probes": told, "revived": settled.revived, "disabled": settled.disabled})


def _answer(probed: probe.Probed) -> str:
    if probed.verdict is not None:
        return probed.verdict.message
    if not probed.models:
        return _now("answers")
    return ngettext("answers; %d model", "answers; %d models", len(probed.models)) % len(probed.models)


def _probe(ids: Collection[int]) -> tuple[list[tuple[PoolKey, probe.Probed]], probe.Settled]:
    keys = [key for key in runtime.load().keys if key.id in ids]
    probes = async_to_sync(probe.ask_all)(keys, probe.places())
    return probes, probe.settle(probes)
