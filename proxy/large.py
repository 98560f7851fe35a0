"""Large bodies: what is done with them must not hold up other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from django.utils.translation import gettext_noop as _

from proxy.api_request import ApiRequest
from proxy.errors import BadRequest

P = ParamSpec("P")
T = TypeVar("T")

# Up to here a body is read and built within a few milliseconds, unless it holds many values: each costs some
# microseconds. Counting them takes a millisecond a megabyte, and a body up to SMALL cannot hold too many.
LARGE: Final = 2**20
SMALL: Final = 2**16
MANY_VALUES: Final = 5_000
# The reader of JSON lets nobody else run, in a thread neither: half a million values take it half a second, 32 MB of
# them would take four. No model takes a text with as many commas.
MOST_VALUES: Final = 500_000
TOO_MANY_VALUES: Final = _("The request body holds too many values; %(most)s are allowed.")


async def aside(request: ApiRequest, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do ``work``, which reads or builds a body: where that takes long, in a thread, so that other requests go on."""
    if not takes_long(request.body):
        return work(*arguments, **options)
    return await asyncio.to_thread(work, *arguments, **options)


def takes_long(body: bytes) -> bool:
    """Tell whether reading or building a body would hold up other requests."""
    return len(body) > LARGE or (len(body) > SMALL and _values(body) > MANY_VALUES)


def check_values(body: bytes) -> None:
    """Raise BadRequest for a body with more JSON values than may be read. Commas inside texts count too."""
    if len(body) > LARGE and _values(body) > MOST_VALUES:
        raise BadRequest(TOO_MANY_VALUES, {"most": MOST_VALUES})


def _values(body: bytes) -> int:
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")
