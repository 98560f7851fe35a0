"""`make demo` shows hajimi at work without a key or the internet, and ends when it is told to."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.databases import ABOUT_SQLITE
from tests.gemini.demo import MESSAGE
from tests.serving import KEPT, ROOT, Server


class Demo:
    """The running demo and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := self.process.stdout.read(1):
            self.text += piece

    def line(self, name: str) -> str:
        found = re.search(rf"^{name}: (.+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def wait_for(self, words: str, seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.05)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(5)
        return code


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    with contextlib.ExitStack() as stack:

        def start(**environment: str) -> Demo:
            kept = {name: os.environ[name] for name in KEPT if name in os.environ}
            options: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": ROOT}
            own = {"PORT": "0", "TMPDIR": str(tmp_path), "DATA_DIR": str(tmp_path / "data")}
            command = [sys.executable, "-m", "tests.gemini.demo"]
            # A terminal's child hears Ctrl-C; one of `nohup make test &` would be born deaf to it.
            options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
            process = stack.enter_context(subprocess.Popen(command, env={**kept, **own, **environment}, **options))
            stack.callback(process.terminate)
            return Demo(process)

        yield start


def test_it_prints_how_to_get_in_and_streams_a_chat(demo: Callable[..., Demo]) -> None:
    running = demo()
    running.wait_for("Staying up; Ctrl-C ends.")

    # The server's log may come between two words.
    said = re.sub(r"[\d-]{10} [\d:,]+ INFO hajimi\.access: .*\n", "", running.text)
    assert f"You said: {MESSAGE}" in said
    address, password = running.line("Address"), running.line("Password")
    models = httpx.get(f"{address}/v1/models", headers={"authorization": f"Bearer {password}"}, trust_env=False)
    assert models.status_code == 200
    assert re.fullmatch(r"\S+ / \S+", running.line("Admin"))
    assert running.end(signal.SIGINT) == 0
    assert "Traceback" not in running.text


def test_it_ends_cleanly_on_sigterm_and_knows_its_passwords_the_next_time(demo: Callable[..., Demo]) -> None:
    first = demo()
    first.wait_for("Staying up")
    assert first.end(signal.SIGTERM) == 0

    second = demo()
    second.wait_for("Staying up")
    assert second.line("Admin") == first.line("Admin")
    assert second.line("Password") == first.line("Password")
    assert second.end(signal.SIGTERM) == 0


def test_a_bad_value_stops_it_with_one_sentence(demo: Callable[..., Demo]) -> None:
    running = demo(PORT="many")

    assert running.process.wait(40) == 1
    time.sleep(0.2)
    assert "PORT" in running.text
    assert "Traceback" not in running.text


@ABOUT_SQLITE
def test_it_touches_nothing_of_this_machine_but_its_own_folder(demo: Callable[..., Demo], tmp_path: Path) -> None:
    real = tmp_path / "real.sqlite3"
    running = demo(
        DATABASE_URL=f"sqlite:///{real}",
        REDIS_URL="redis://127.0.0.1:1/0",
        WORKERS="2",
        BACKUP_DIR=str(tmp_path / "backups"),
        ENABLE_VERTEX="true",
        GOOGLE_CREDENTIALS_JSON="{}",
        VERTEX_EXPRESS_API_KEY="AIzaSyRealKeyOfSomebodysProject--------",
        GEMINI_API_KEYS_1="AIzaSyRealKeyOfSomebody----------------",
        HTTP_PROXY="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
    )
    running.wait_for("Staying up")

    assert not real.exists()
    assert not (tmp_path / "backups").exists()
    kept = Server(tmp_path / "data").rows("SELECT kind, tail FROM keys_key")
    assert {(row["kind"], row["tail"]) for row in kept} == {("ai_studio", f"000{number}") for number in (1, 2, 3)}
    assert running.end(signal.SIGTERM) == 0


@ABOUT_SQLITE
def test_a_chat_that_is_not_answered_ends_it_as_a_failure(demo: Callable[..., Demo], tmp_path: Path) -> None:
    first = demo()
    first.wait_for("Staying up")
    assert first.end(signal.SIGTERM) == 0
    Server(tmp_path / "data").write(("UPDATE keys_member SET enabled = ?", (False,)))

    second = demo()

    assert second.process.wait(60) == 1
    time.sleep(0.2)
    assert "(401)" in second.text
    assert "The chat was not answered." in second.text
