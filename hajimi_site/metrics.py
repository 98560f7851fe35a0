"""GET /metrics: what the processes of this machine have counted, for Prometheus; for admins only."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth import authenticate, get_user_model
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from keys import vault
from proxy.live import FIRST_OUTPUT_BOUNDS

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

    from hajimi_site.counts import Counts
    from proxy.api import House

MOST_REMEMBERED: Final = 16

# Checking a password costs a third of a second: one that was good stays good while its account is as it was.
_good: OrderedDict[str, tuple[int, str]] = OrderedDict()


@never_cache
@require_safe
async def metrics(request: ASGIRequest) -> HttpResponse:
    """Answer with the numbers, or 401 to whoever is no admin."""
    if not await _is_admin(request):
        refused = HttpResponse("Sign in as an admin, or send the name and password of one.\n", status=401)
        refused.headers["content-type"] = "text/plain; charset=utf-8"
        refused.headers["www-authenticate"] = 'Basic realm="hajimi metrics", charset="UTF-8"'
        return refused
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(request.scope["counts"].of_machine(), request.scope["house"]))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


async def _is_admin(request: HttpRequest) -> bool:
    if await sync_to_async(admin.site.has_permission)(request):
        return True
    found = basic_credential(request.headers.get("authorization", ""))
    return found is not None and await _knows(request, *found)


def basic_credential(authorization: str) -> tuple[str, str] | None:
    """Return the name and the password that a header of the scheme Basic carries; None for any other header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        # Not base64, not UTF-8, or not even ASCII.
        return None
    # PostgreSQL takes no NUL in a text.
    return (name, password) if colon and "\0" not in name else None


async def _knows(request: HttpRequest, name: str, password: str) -> bool:
    place = vault.digest(f"{name}:{password}")
    remembered = _good.get(place)
    if remembered is not None:
        user = await get_user_model().objects.filter(pk=remembered[0], password=remembered[1]).afirst()
        return user is not None and _may_read(user)
    try:
        # Not aauthenticate: the backend that slows down whoever guesses knows only this.
        found = await sync_to_async(authenticate)(request, username=name, password=password)
    except PermissionDenied:
        return False
    if found is None or not _may_read(found):
        return False
    _good[place] = (found.pk, found.password)
    if len(_good) > MOST_REMEMBERED:
        _good.popitem(last=False)
    return True


def _may_read(user: AbstractBaseUser) -> bool:
    return bool(user.is_active and getattr(user, "is_staff", False))


class _Numbers(Collector):
    """The numbers in Prometheus's words."""

    def __init__(self, counts: Counts, house: House) -> None:
        self._counts = counts
        self._house = house

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        yield _counter("hajimi_requests", "Requests that have ended, by outcome.", "outcome", counts.requests)
        yield _counter("hajimi_attempts", "Attempts at Google, by outcome.", "outcome", counts.attempts)
        yield _counter("hajimi_tokens", "Tokens; thought is part of completion.", "kind", counts.tokens)
        yield _counter("hajimi_refusals", "Requests answered with an error, by its code.", "code", counts.refusals)
        yield _counter("hajimi_ledger_refusals", "Requests that a limit refused, by limit.", "limit", counts.limits)
        yield self._first_output()
        yield GaugeMetricFamily("hajimi_requests_in_flight", "Requests being answered.", value=counts.in_flight)
        yield GaugeMetricFamily("hajimi_journal_depth", "Log entries not yet written.", value=counts.journal_depth)
        yield _counter("hajimi_journal_entries", "Log entries, by what became of them.", "became", counts.journal)
        yield GaugeMetricFamily(
            "hajimi_upstream_outages", "Upstreams, or models of one, that count as out.", value=counts.upstream_outages
        )
        yield _gauge("hajimi_keys", "Keys by state.", "state", self._keys())
        yield _gauge("hajimi_process_resident_bytes", "Memory of each process.", "pid", counts.memory)
        yield _counter("hajimi_process_cpu_seconds", "Processor time of each process.", "pid", counts.cpu_seconds)

    def _first_output(self) -> Metric:
        buckets, so_far = [], 0
        for bound, count in zip((*FIRST_OUTPUT_BOUNDS, "+Inf"), self._counts.first_outputs, strict=True):
            so_far += count
            buckets.append((str(bound), float(so_far)))
        family = HistogramMetricFamily("hajimi_first_output_seconds", "Time until the first visible output.")
        family.add_metric([], buckets, self._counts.first_output_seconds)
        return family

    def _keys(self) -> dict[str, float]:
        pool = self._house.pool
        enabled, usable = pool.enabled, pool.usable(time.time())
        known = len(self._house.runtime.current.keys)
        return {"usable": usable, "resting": enabled - usable, "disabled": known - enabled}


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value in sorted(values):
        family.add_metric([value], values[value])
    return family


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value in sorted(values):
        family.add_metric([value], values[value])
    return family
