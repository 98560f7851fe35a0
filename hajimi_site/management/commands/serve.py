"""Starts hajimi: migrates, brings in the environment, listens, and drains at the end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand

from hajimi_site import backups, early_signals, log_lines, memory
from hajimi_site.preparing import prepare
from hajimi_site.supervisor import FAREWELL_SECONDS, Supervisor, listening_socket, why_not
from hajimi_site.worker import Leash
from keys.bootstrap import Bootstrapped

YOUNG_OBJECTS = 20_000

NO_ROLLING = {
    "granian": "SERVER=granian cannot replace its processes without refusing requests (it listens until it ends): "
    "SIGHUP does nothing. Restart hajimi, or use another server."
}

logger = logging.getLogger("hajimi")


class Command(BaseCommand):
    help = "Start hajimi."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        # How a supervisor starts its workers; see hajimi_site.supervisor.
        for name in ("--listener", "--supervisor", "--number"):
            parser.add_argument(name, type=int, help=argparse.SUPPRESS)
        parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        memory.give_back_large_blocks()
        log_lines.spare_what_no_line_says()
        early_signals.obey()
        if options["listener"] is not None:
            if options["prepare"]:
                self._prepare()
            self._work(options["listener"], options["supervisor"])
            return
        if settings.WORKERS > 1 and not settings.REDIS_URL:
            raise ImproperlyConfigured(
                f"WORKERS is set to {settings.WORKERS}, but REDIS_URL is not set: more than one process need a Redis, "
                "or each would count limits by itself."
            )
        self._prepare()
        if settings.WORKERS > 1:
            self._supervise()
        else:
            self._serve()

    def _prepare(self) -> None:
        told = backups.notes()
        self._tell(prepare(), told)

    def _tell(self, brought: Bootstrapped, told: Sequence[str]) -> None:
        for note in (*settings.ENVIRONMENT_NOTES, *told, *brought.notes):
            logger.log(logging.WARNING if note.startswith("WARNING") else logging.INFO, note)
        if brought.admin_password:
            self._say(f"Admin account {brought.admin_username}, password {brought.admin_password} (shown only once)")

    def _say(self, line: str) -> None:
        self.stdout.write(log_lines.told(line, settings.LOG_FORMAT))
        self.stdout.flush()

    def _serve(self) -> None:
        server = _server(on_ready=self._ready)
        _run(server)

    def _work(self, listener: int, supervisor: int) -> None:
        """Serve as one process of many."""
        leash = Leash(supervisor, on_retire=lambda: server.retire(), on_end=lambda: server.end())

        def on_ready(_: int) -> None:
            _freeze()
            leash.ready(server.loop)
            early_signals.hand_over()

        with socket.socket(fileno=listener) as listening:
            server = _server(on_ready=on_ready, listener=listening)
            _run(server)

    def _supervise(self) -> None:
        """Let WORKERS processes serve."""
        try:
            listening = listening_socket(settings.HOST, settings.PORT)
        except (OSError, UnicodeError) as error:
            raise ImproperlyConfigured(f"{why_not(settings.HOST, settings.PORT, error)}.") from None
        early_signals.obey()
        with tempfile.TemporaryDirectory(prefix="hajimi-counts-", ignore_cleanup_errors=True) as counts:
            supervisor = Supervisor(
                [sys.executable, *_interpreter_options(), str(settings.BASE_DIR / "manage.py"), "serve"],
                settings.WORKERS,
                listening,
                environment={**settings.GIVEN_ENVIRONMENT, "HAJIMI_COUNTS_DIR": counts},
                patience_seconds=settings.DRAIN_SECONDS + FAREWELL_SECONDS,
                on_ready=self._announce,
                no_rolling=NO_ROLLING.get(settings.SERVER, ""),
            )
            asyncio.run(supervisor.run())
        if ours := backups.plan():
            backups.back_up_at_the_end(ours)

    def _ready(self, port: int) -> None:
        _freeze()
        self._announce(port)

    def _announce(self, port: int) -> None:
        host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
        self._say(f"hajimi {settings.VERSION} listening on http://{host}:{port}")
        early_signals.hand_over()


def _server(*, on_ready: Callable[[int], None], listener: socket.socket | None = None) -> Any:
    # The server before everything else: importing Daphne's installs Twisted's reactor, with the loop chosen here.
    server_class = {"daphne": _daphne, "uvicorn": _uvicorn, "granian": _granian}[settings.SERVER]()
    from hajimi_site.addresses import Edge
    from hajimi_site.asgi import Doors
    from hajimi_site.serving import Limits, Terms

    terms = Terms(
        host=settings.HOST,
        port=settings.PORT,
        limits=Limits(
            settings.MAX_BODY_BYTES,
            settings.DRAIN_SECONDS,
            at_once_per_address=settings.MAX_PARALLEL_REQUESTS_PER_IP,
        ),
        edge=Edge(settings.TRUSTED_PROXIES, platform=settings.ON_SPACE or bool(settings.SPACE_HOST)),
        on_ready=on_ready,
        listener=listener,
        new_loop=_loop_factory(),
    )
    return server_class(Doors(), terms)


def _run(server: Any) -> None:
    from hajimi_site.serving import CannotListen

    early_signals.obey()
    try:
        server.run()
    except CannotListen as error:
        raise ImproperlyConfigured(f"{error}.") from None


def _freeze() -> None:
    # What is there now stays for good: no later collection needs to look at it again. And nearly everything that
    # a request makes goes without the collector, which by default looks at the requests in flight all the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def _interpreter_options() -> list[str]:
    """Return the options that this interpreter was started with."""
    return [option for warning in sys.warnoptions for option in ("-W", warning)]


def _daphne() -> Any:
    # TLS ends before us, and nobody speaks WAMP: what Twisted and Autobahn have for those takes 3 MB.
    with memory.missing("OpenSSL"), memory.missing("cbor2"):
        if new_loop := _loop_factory():
            from twisted.internet import asyncioreactor

            asyncioreactor.install(new_loop())
        from hajimi_site.server import Server

    return Server


def _uvicorn() -> Any:
    for name in ("uvicorn", "httptools", "websockets"):
        how = "pip install uvicorn httptools websockets"
        _needed(name, f"SERVER is set to uvicorn, but {name} is not installed ({how}).")
    from hajimi_site.uvicorn_server import Server

    return Server


def _granian() -> Any:
    _needed("granian", "SERVER is set to granian, but it is not installed (pip install granian).")
    from hajimi_site.granian_server import Server

    return Server


def _loop_factory() -> Callable[[], Any] | None:
    """Return what makes the event loop, None for asyncio's own."""
    if settings.EVENT_LOOP != "uvloop":
        return None
    uvloop = _needed("uvloop", "EVENT_LOOP is set to uvloop, which is not installed (pip install uvloop).")
    return uvloop.new_event_loop  # type: ignore[no-any-return]


def _needed(name: str, sentence: str) -> Any:
    """Return a library that is not installed with the others. Raises ImproperlyConfigured."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImproperlyConfigured(sentence) from None
