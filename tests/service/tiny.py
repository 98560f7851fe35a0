"""The server and the API's door alone, with small views; run as a process by tests of this folder.

``python -m tests.service.tiny '{"drain_seconds": 1}'`` takes the fields of Limits as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from types import SimpleNamespace

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
django.setup()

from django.http import HttpResponse, JsonResponse  # noqa: E402

from hajimi_site.addresses import Edge  # noqa: E402
from hajimi_site.server import Server  # noqa: E402
from hajimi_site.serving import Limits, Terms  # noqa: E402
from hajimi_site.shown_path import know  # noqa: E402
from proxy import errors  # noqa: E402
from proxy.api import ApiHandler, EventStream  # noqa: E402
from proxy.errors import Quoted  # noqa: E402
from proxy.live import Live  # noqa: E402

seen: list[str] = []
EVENT = b'data: {"n":%d,"text":"abcdefghijklmnopqrstuvwxyz"}\n\n'


async def echo(request):
    body = request.body
    answer = JsonResponse(
        {"length": len(body), "address": request.address, "scheme": request.scheme, "query": request.GET.dict()}
    )
    answer["x-hajimi-attempts"] = "1"
    return answer


async def model(request, name):
    return JsonResponse({"id": name})


async def verb(request, name, verb):
    return JsonResponse({"id": name, "verb": verb})


async def refuse(request):
    request.answer_headers["x-hajimi-attempts"] = "3"
    raise errors.LimitReached(
        'Member "%(who)s" waits %(wait)s.', {"who": Quoted("Ann 安"), "wait": "7 s"}, retry_after=6.2
    )


async def boom(request):
    raise RuntimeError("kaboom")


async def slow(request):
    return await noted("slow", asyncio.sleep(float(request.GET.get("seconds", 30))), JsonResponse({"ok": True}))


async def noted(name, waiting, answer):
    seen.append(f"{name} began")
    try:
        await waiting
        return answer
    except asyncio.CancelledError:
        seen.append(f"{name} cancelled")
        raise
    finally:
        await asyncio.sleep(0.01)
        seen.append(f"{name} cleaned up")


async def events(request):
    """Stream ``count`` events ``pause`` apart; ``fail`` raises after as many."""
    get = request.GET
    source = numbered(int(get.get("count", 5)), float(get.get("pause", 0)), int(get.get("fail", -1)))
    return EventStream(source, heartbeat_seconds=float(get.get("heartbeat", 5)))


async def numbered(count, pause, fail):
    seen.append("stream began")
    try:
        for number in range(count):
            if pause:
                await asyncio.sleep(pause)
            if number == fail:
                raise RuntimeError("kaboom")
            yield EVENT % number
        yield b"data: [DONE]\n\n"
    except asyncio.CancelledError:
        seen.append("stream cancelled")
        raise
    finally:
        await asyncio.sleep(0.01)
        seen.append("stream cleaned up")


async def firehose(request):
    """Stream ``mb`` megabytes as fast as the client takes them."""

    async def pour():
        try:
            for _ in range(int(request.GET["mb"]) * 16):
                yield b"x" * 65536
        finally:
            seen.append("firehose cleaned up")

    return EventStream(pour(), heartbeat_seconds=0.2)


async def large(request):
    return HttpResponse(b"y" * (int(request.GET["mb"]) << 20), content_type="text/plain")


async def what_was_seen(request):
    return JsonResponse({"seen": seen, "rss": rss()})


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


ROUTES = {
    "/v1/chat/completions": {"POST": echo, "GET": echo},
    "/v1/models": {"GET": echo},
    "/v1beta/models/{name}:{verb}": {"POST": verb},
    "/v1/models/{name}": {"GET": model},
    "/v1/messages": {"POST": refuse},
    "/v1beta/refuse": {"GET": refuse},
    "/v1/refuse": {"GET": refuse},
    "/v1/boom": {"GET": boom},
    "/v1/slow": {"GET": slow, "POST": slow},
    "/v1/events": {"GET": events},
    "/v1/firehose": {"GET": firehose},
    "/v1/large": {"GET": large},
    "/v1/seen": {"GET": what_was_seen},
}


class Application:
    """The API's door, and two raw ASGI applications to compare with."""

    async def start(self):
        self.house = SimpleNamespace(draining=False, live=Live())
        self.api = ApiHandler(self.house, ROUTES)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await websocket_echo(receive, send)
        elif scope["path"] == "/raw":
            await raw(receive, send)
        elif scope["path"] == "/raw-events":
            await raw_events(scope, send)
        elif scope["path"] == "/nothing":
            await receive()
        elif scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("half")
        elif scope["path"] == "/crlf":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nset-cookie: b")]})
        else:
            await self.api(scope, receive, send)

    def begin_drain(self):
        self.house.draining = True

    def end_all(self):
        self.api.end_all()

    async def stop(self):
        sys.stdout.write(f"stopped {json.dumps(seen)}\n")
        sys.stdout.flush()


async def websocket_echo(receive, send):
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            return


async def raw(receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def raw_events(scope, send):
    count, _, pause = scope["query_string"].partition(b"x")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for number in range(int(count)):
        if pause:
            await asyncio.sleep(float(pause))
        await send({"type": "http.response.body", "body": EVENT % number, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def main():
    limits = {"body_bytes": 2**20, **json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")}
    trusted = limits.pop("trusted", [])

    def ready(port):
        sys.stdout.write(f"ready {port}\n")
        sys.stdout.flush()

    know(segment for route in ROUTES for segment in route.split("/"))
    port = limits.pop("port", 0)
    terms = Terms(host="127.0.0.1", port=port, limits=Limits(**limits), edge=Edge(trusted), on_ready=ready)
    Server(Application(), terms).run()


if __name__ == "__main__":
    main()
