"""Starts hajimi: migrates, brings in the environment, listens, and drains at the end."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import Error, connection, connections

from keys import vault
from keys.bootstrap import Bootstrapped, bootstrap

logger = logging.getLogger("hajimi")


class Command(BaseCommand):
    help = "Start hajimi."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.WORKERS > 1:
            raise ImproperlyConfigured(
                f"WORKERS is set to {settings.WORKERS}, but this version serves with one process; it must be 1."
            )
        with _one_at_a_time():
            brought = _prepare()
        for note in (*settings.ENVIRONMENT_NOTES, *brought.notes):
            logger.log(logging.WARNING if note.startswith("WARNING") else logging.INFO, note)
        if brought.admin_password:
            self._say(f"Admin account {brought.admin_username}, password {brought.admin_password} (shown only once)")
        self._serve()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _serve(self) -> None:
        # Importing the server installs Twisted's reactor with the loop chosen here.
        _choose_loop()
        from hajimi_site.addresses import Edge
        from hajimi_site.asgi import Doors
        from hajimi_site.server import CannotListen, Limits, Server

        server = Server(
            Doors(),
            host=settings.HOST,
            port=settings.PORT,
            limits=Limits(settings.MAX_BODY_BYTES, settings.DRAIN_SECONDS),
            edge=Edge(settings.TRUSTED_PROXIES, platform=settings.ON_SPACE or bool(settings.SPACE_HOST)),
            on_ready=self._ready,
        )
        try:
            server.run()
        except CannotListen as error:
            raise ImproperlyConfigured(f"{error}.") from None

    def _ready(self, port: int) -> None:
        # What is there now stays for good: no later collection needs to look at it again.
        gc.collect()
        gc.freeze()
        host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
        self._say(f"hajimi {settings.VERSION} listening on http://{host}:{port}")


def _prepare() -> Bootstrapped:
    """Bring the database up to date, and the environment into it. Raises ImproperlyConfigured in plain words."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        return bootstrap(
            keys=settings.GEMINI_API_KEYS,
            password=settings.PASSWORD,
            admin_username=settings.ADMIN_USERNAME,
            admin_password=settings.ADMIN_PASSWORD,
        )
    except vault.Undecryptable as error:
        raise ImproperlyConfigured(str(error)) from None
    except Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ImproperlyConfigured(f"the database ({connection.vendor}) cannot be used: {reason}.") from None
    finally:
        connections.close_all()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let two processes of one DATA_DIR prepare one after the other."""
    with contextlib.ExitStack() as stack:
        # With SECRET_KEY and DATABASE_URL in the environment nothing else needs the folder.
        with contextlib.suppress(OSError):
            settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((settings.DATA_DIR / "start.lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _choose_loop() -> None:
    if settings.EVENT_LOOP != "uvloop":
        return
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        raise ImproperlyConfigured(
            "EVENT_LOOP is set to uvloop, which is not installed (pip install uvloop)."
        ) from None
    from twisted.internet import asyncioreactor

    asyncioreactor.install(uvloop.new_event_loop())
