"""hajimi as its users run it: `manage.py serve` as a process of its own, in a folder and an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from hajimi_site.environment import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
KEYS = tuple(f"AIzaSyFakeKeyOfTheSimulator-----------{letter}" for letter in "ABC")
PASSWORD = "swordfish-1"
ADMIN_PASSWORD = "correct-horse-battery"
# As it stands alone, or in a line of LOG_FORMAT=json.
READY = re.compile(r'^(?:\{.*"message":")?hajimi \S+ listening on (http://[^\s"]+)')
# Two or three, on a machine that has nothing else to do.
START_SECONDS = 90.0

# Limits are out of the way unless a test is about them.
DEFAULTS: Mapping[str, object] = {
    "HOST": "127.0.0.1",
    "PORT": 0,
    "GEMINI_API_KEYS": KEYS,
    "PASSWORD": PASSWORD,
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "MAX_REQUESTS_PER_MINUTE": 100_000,
    "MAX_REQUESTS_PER_DAY_PER_IP": 100_000,
    "API_KEY_DAILY_LIMIT": 100_000,
    "DRAIN_SECONDS": 5,
    # HAJIMI_TEST_SERVER=uvicorn: the whole suite on that server.
    "SERVER": os.environ.get("HAJIMI_TEST_SERVER", ""),
}
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "COVERAGE_PROCESS_START")


class NotStarted(RuntimeError):
    """The server ended before it was ready; the message is what it printed."""


def environment_for(data_dir: Path, changes: Mapping[str, object]) -> dict[str, str]:
    """Return a whole environment: nothing of this machine's own settings, nor of a .env file, gets in."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    # An empty variable counts as unset, and keeps .env from setting it.
    unset = {variable.name: "" for variable in VARIABLES}
    chosen = {**DEFAULTS, "DATA_DIR": data_dir, **changes}
    return {
        **kept,
        **unset,
        "ENV_FILE": os.devnull,
        "PYTHONUNBUFFERED": "1",
        **{name: _written(value) for name, value in chosen.items()},
    }


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


class Server:
    """One hajimi. ``changes`` are environment variables; None or "" leaves one unset."""

    def __init__(self, data_dir: Path, changes: Mapping[str, object] | None = None) -> None:
        self.data_dir = data_dir
        self.changes = dict(changes or {})
        if os.environ.get("HAJIMI_TEST_DATABASE") == "postgres" and "DATABASE_URL" not in self.changes:
            from tests.databases import postgres_of

            self.changes["DATABASE_URL"] = postgres_of(data_dir)
        self.base_url = ""
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    @property
    def password(self) -> str:
        """The password of the member ``shared``."""
        return _written(self.changes.get("PASSWORD", PASSWORD)) or "123"

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything printed so far, by earlier runs of this server as well."""
        return "".join(self._lines)

    def start(self, *, seconds: float = START_SECONDS) -> Self:
        """Start and wait for the ready line. Raises NotStarted when the process ends first."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=environment_for(self.data_dir, self.changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        settled = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(settled,), daemon=True)
        self.base_url = ""
        self._reader.start()
        if not settled.wait(seconds) or not self.base_url:
            self.kill()
            raise NotStarted(self.output)
        return self

    def _read(self, settled: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if not self.base_url and (found := READY.match(line)):
                self.base_url = found[1].replace("//0.0.0.0", "//127.0.0.1")
                settled.set()
        settled.set()

    def stop(self, *, seconds: float = 30.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code. Raises TimeoutExpired when it does not in time."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it at once (SIGKILL); do nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def restart(self, **changes: object) -> Self:
        """Stop it and start it again, with some variables changed."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.changes.update(changes)
        return self.start()

    # Asking it.

    def client(self, password: str | None = None, **options: Any) -> httpx.Client:
        """Return a client that knows the address and sends the password ("" for none)."""
        return httpx.Client(**self._options(password, options))

    def async_client(self, password: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return the same for async tests."""
        return httpx.AsyncClient(**self._options(password, options))

    def _options(self, password: str | None, options: dict[str, Any]) -> dict[str, Any]:
        password = self.password if password is None else password
        headers = {"authorization": f"Bearer {password}"} if password else {}
        # A TLS context costs 0.1 s and is never used.
        plain = {"timeout": 30, "trust_env": False, "verify": False}
        return {"base_url": self.base_url, "headers": headers, **plain, **options}

    def chat(self, text: str = "hello", *, model: str = "gemini-2.5-flash", **fields: Any) -> httpx.Response:
        """Send one chat and return the whole answer."""
        with self.client() as client:
            return client.post("/v1/chat/completions", json=chat(text, model=model, **fields))

    def manage(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py with this server's environment."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, words)],
            cwd=ROOT,
            env=environment_for(self.data_dir, self.changes),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def write(self, *statements: tuple[str, Sequence[Any]]) -> None:
        """Change its database as another process would, in one transaction."""
        url = _written(self.changes.get("DATABASE_URL"))
        with _opened(url, self.data_dir / "hajimi.sqlite3") as connection:
            for sql, values in statements:
                connection.execute(sql.replace("?", "%s") if url.startswith("postgres") else sql, tuple(values))
            connection.commit()

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query of its database."""
        url = _written(self.changes.get("DATABASE_URL"))
        if url.startswith("postgres"):
            # Here, because the demo runs without what tests need.
            from tests.databases import postgres_rows

            return postgres_rows(url, sql, *values)
        path = self.data_dir / "hajimi.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def stored(self) -> bytes:
        """Return everything its database holds, as it lies there."""
        url = _written(self.changes.get("DATABASE_URL"))
        if url.startswith("postgres"):
            from tests.databases import postgres_bytes

            return postgres_bytes(url)
        return b"".join(path.read_bytes() for path in self.data_dir.glob("hajimi.sqlite3*"))


def _opened(url: str, path: Path) -> contextlib.AbstractContextManager[Any]:
    """Return a connection to a server's database; the caller commits."""
    if url.startswith("postgres"):
        import psycopg

        return psycopg.connect(url)
    return contextlib.closing(sqlite3.connect(path, timeout=20))


def chat(text: str = "hello", *, model: str = "gemini-2.5-flash", **fields: Any) -> dict[str, Any]:
    """Return the body of a chat of one user message."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def events_of(stream: str) -> list[Any]:
    """Return the data of a stream's events: documents, and "[DONE]" as it is."""
    data = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def text_of(events: Iterable[Any]) -> str:
    """Return the visible text of a stream's events."""
    choices = [choice for event in events if isinstance(event, dict) for choice in event.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
