"""A body that takes long to read does not hold up other requests; the usual one pays nothing for that."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from proxy.api_request import ApiRequest
from proxy.large import aside, takes_long

MESSAGE = {"role": "user", "content": "a"}
LONG = "Once upon a time, in a land far away, there was a fox. "


def chat(*messages: Any) -> bytes:
    return orjson.dumps({"model": "gemini-2.5-flash", "messages": messages})


def request(body):
    scope = {"path": "/v1/chat/completions", "method": "POST", "query_string": b"", "headers": []}
    return ApiRequest(scope, body, None, 1)


@pytest.mark.parametrize(
    ("body", "long"),
    [
        (chat(MESSAGE), False),
        (chat(*[MESSAGE] * 1_500), False),
        (chat(MESSAGE | {"content": LONG * 2_000}), False),
        (chat(*[MESSAGE] * 30_000), True),
        (chat(MESSAGE | {"content": "a" * 2**20}), True),
    ],
    ids=["one", "small", "one long text", "many short messages", "large"],
)
async def test_what_takes_long_is_read_in_a_thread(body: bytes, long: bool) -> None:
    assert takes_long(body) is long
    assert (await aside(request(body), threading.get_ident) != threading.get_ident()) is long
