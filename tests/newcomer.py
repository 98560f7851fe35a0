"""A newcomer's way, from a fresh clone by the README alone to a streamed answer: `make newcomer`.

Both READMEs are walked: what stands in their first block of commands is run as it stands, only with a local Gemini
and a free port. SillyTavern, where it can be installed, is filled in with what the README says.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from hajimi_site.version import VERSION
from tests.gemini import FakeGemini, answer
from tests.points import Points
from tests.serving import KEPT, READY, ROOT, chat, events_of, text_of
from tests.sillytavern import tavern

READMES = ("README.md", "README.zh-CN.md")
STORY = "Once upon a time there was a small orange cat that kept all the keys of the village."
MODEL = "gemini-2.5-flash"
INSTALL_SECONDS = 300
# What a person is to need at most, from the clone on to an answer in a SillyTavern that runs already.
PATIENCE_SECONDS = 300


class Readme:
    """What a reader takes from a README."""

    def __init__(self, text: str) -> None:
        blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
        self.commands = next(block for kind, block in blocks if kind == "sh" and "make run" in block)
        self.ready = next(block.strip() for kind, block in blocks if not kind)
        self.password = re.findall(r"PASSWORD=(\S+)", self.commands)[0]
        self.address = re.findall(r"^3\. .*`(http://localhost:7860/v1)`", text, re.MULTILINE)[0]
        self.pages = re.findall(r"<(http://localhost:7860/[a-z/]*)>", text)


@contextlib.contextmanager
def fresh_clone() -> Iterator[Path]:
    """Yield a clone of this repository as it is committed, without anything that was made here."""
    with tempfile.TemporaryDirectory(prefix="hajimi-newcomer-", ignore_cleanup_errors=True) as folder:
        there = Path(folder) / "hajimi"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(there)], check=True)
        yield there


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shell:
    """The newcomer's shell, running the README's commands in the clone."""

    def __init__(self, commands: str, folder: Path, environment: dict[str, str]) -> None:
        kept = {name: os.environ[name] for name in (*KEPT, "PYTHON", "PIP_CONFIG_FILE") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "PYENV"))}
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            ["sh", "-e", "-c", commands],
            cwd=folder,
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if READY.match(line):
                self.ready.set()
        self.ready.set()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(40)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def walk(name: str, gemini: FakeGemini, points: Points) -> None:
    """Follow one README."""
    begun = time.monotonic()
    with fresh_clone() as there:
        readme = Readme((there / name).read_text(encoding="utf-8"))
        port = free_port()
        shell = Shell(readme.commands, there, {"GEMINI_BASE_URL": gemini.url, "PORT": str(port), "HOST": "127.0.0.1"})
        try:
            with points.point(f"{name}: its commands start hajimi, which prints the line that it says"):
                assert shell.ready.wait(INSTALL_SECONDS), shell.output
                said = readme.ready.replace("7860", str(port)).replace("0.0.0.0", "127.0.0.1")
                assert f"\n{said}\n" in f"\n{shell.output}", shell.output
                assert VERSION in said
            with points.point(f"{name}: the password of the admin account is printed once"):
                assert len(re.findall(r"^Admin account admin, password \S+ ", shell.output, re.MULTILINE)) == 1
            with points.point(f"{name}: the pages it names are there"):
                assert len(readme.pages) == 2
                for page in readme.pages:
                    url = page.replace("7860", str(port)).replace("localhost", "127.0.0.1")
                    assert httpx.get(url, trust_env=False, follow_redirects=True).status_code == 200, url
            address = readme.address.replace("7860", str(port))
            with points.point(f"{name}: a streamed answer"):
                assert streamed(address.replace("localhost", "127.0.0.1"), readme.password) == STORY
            spent = time.monotonic() - begun + in_sillytavern(name, address, readme.password, points)
            with points.point(f"{name}: {spent:.0f} s from the clone on, under {PATIENCE_SECONDS} s"):
                assert spent < PATIENCE_SECONDS
            with points.point(f"{name}: Ctrl-C ends it"):
                shell.interrupt()
                assert "Traceback" not in shell.output, shell.output
        finally:
            shell.close()


def streamed(address: str, password: str) -> str:
    """Return the text of one streamed answer."""
    headers = {"authorization": f"Bearer {password}"}
    body = chat("Tell me a story", model=MODEL, stream=True)
    answered = httpx.post(f"{address}/chat/completions", json=body, headers=headers, timeout=60, trust_env=False)
    assert answered.status_code == 200, answered.text
    return text_of(events_of(answered.text))


def in_sillytavern(name: str, address: str, password: str, points: Points) -> float:
    """Fill in SillyTavern's fields as the README says, and chat; return the seconds it took once SillyTavern ran."""
    begun = time.monotonic()
    if lacking := tavern.missing():
        print(f"SKIPPED {name} in SillyTavern: {lacking}")
        return 0.0
    tavern.install()
    with (
        points.point(f"{name}: SillyTavern, filled in as it says, shows the answer"),
        tavern.running(address.replace("localhost", "127.0.0.1"), password) as st,
    ):
        begun = time.monotonic()
        run = st.ui(MODEL, message="Tell me a story")["runs"][0]
        assert run["text"].strip() == STORY, run
        assert run["finished"], run
        assert not run["toasts"], run
    return time.monotonic() - begun


def main() -> int:
    """Walk both READMEs."""
    if shutil.which("git") is None:
        print("SKIPPED newcomer: git is not installed")
        return 0
    points = Points()
    with FakeGemini() as gemini:
        gemini.always(answer(STORY, delay=0.02))
        for name in READMES:
            walk(name, gemini, points)
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
