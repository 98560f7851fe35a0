"""The built image, run as its users run it: python -m tests.image docker|buildah IMAGE."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.gemini import FakeGemini
from tests.points import Points
from tests.serving import READY, chat, events_of

PASSWORD = "image-check-password"
KEY = "AIzaSyImageCheckKeyOfTheSimulator-0001"
USER = 1000
VOLUME = "/hajimi/data"
LISTING = ("find", ".", "-type", "f", "-not", "-name", "*.pyc", "-not", "-path", "./data/*")


class Docker:
    """Runs the image in an engine, with a read-only root, as compose.yaml does."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.name = f"hajimi-image-check-{os.getpid()}"

    def start(self, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start the image's own command."""
        options = ["--rm", "--name", self.name, "--network", "host", "--read-only", "--tmpfs", "/tmp"]
        given = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        return _piped(["docker", "run", *options, "-v", f"{folder}:{VOLUME}", *given, self.image])

    def stop(self, process: subprocess.Popen[str]) -> int:
        """End it as an engine does (SIGTERM), and return its exit code."""
        subprocess.run(["docker", "stop", "--time", "30", self.name], check=True, capture_output=True)
        return process.wait(40)

    def inside(self, *command: str) -> str:
        """Run a command in the running container and return what it prints."""
        return _output("docker", "exec", self.name, *command)

    def files(self) -> list[str]:
        """Return the files of ours in the image."""
        return _output("docker", "run", "--rm", "--name", self.name, self.image, *LISTING).splitlines()

    def health_command(self) -> list[str]:
        """Return the command of the image's HEALTHCHECK."""
        return _health(json.loads(_output("docker", "inspect", self.image))[0]["Config"]["Healthcheck"])

    def close(self) -> None:
        """Leave nothing behind."""
        subprocess.run(["docker", "rm", "--force", self.name], check=False, capture_output=True)


class Buildah:
    """Runs the image without an engine, in a chroot on this machine's network."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.container = _output("buildah", "from", "--pull-never", image)

    def start(self, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start the image's own command, which `buildah run` does not do by itself."""
        command = self._configuration()["Cmd"]
        given = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        return _piped([*self._run(), "--volume", f"{folder}:{VOLUME}", *given, self.container, "--", *command])

    def stop(self, process: subprocess.Popen[str]) -> int:
        """End the command itself, the innermost process: those around it pass no signals on."""
        os.kill(_innermost(process.pid), signal.SIGTERM)
        return process.wait(40)

    def inside(self, *command: str) -> str:
        """Run a command in the same root and network, and return what it prints."""
        return _output(*self._run(), self.container, "--", *command)

    def files(self) -> list[str]:
        """Return the files of ours in the image."""
        return self.inside(*LISTING).splitlines()

    def health_command(self) -> list[str]:
        """Return the command of the image's HEALTHCHECK."""
        return _health(self._configuration()["Healthcheck"])

    def close(self) -> None:
        """Leave nothing behind."""
        subprocess.run(["buildah", "rm", self.container], check=False, capture_output=True)

    def _run(self) -> list[str]:
        return ["buildah", "run", "--isolation", "chroot"]

    def _configuration(self) -> dict[str, Any]:
        return dict(json.loads(_output("buildah", "inspect", "--type", "image", self.image))["Docker"]["config"])


def _piped(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _health(document: dict[str, Any]) -> list[str]:
    how, *command = document["Test"]
    assert how == "CMD"
    return list(command)


def _innermost(pid: int) -> int:
    """Return the last child of the last child ... of a process of ours."""
    # A child belongs to the thread that made it, and these programs have many.
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for thread in threads for child in thread.read_text().split()]
    return _innermost(children[-1]) if children else pid


class Serving:
    """One run of the container, from the ready line to the end."""

    def __init__(self, engine: Docker | Buildah, folder: Path, environment: Mapping[str, str]) -> None:
        self.engine = engine
        self.lines: list[str] = []
        self.process = engine.start(folder, environment)
        self.address = ""
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(90) or not self.address:
            self.process.kill()
            raise RuntimeError("".join(self.lines) or "it printed nothing")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := READY.match(line):
                self.address = found[1].replace("//0.0.0.0", "//127.0.0.1")
                self._ready.set()
        self._ready.set()

    def chat(self, text: str, **fields: object) -> httpx.Response:
        """Send one chat and return the whole answer."""
        headers = {"authorization": f"Bearer {PASSWORD}"}
        return httpx.post(
            f"{self.address}/v1/chat/completions",
            json=chat(text, **fields),
            headers=headers,
            timeout=60,
            trust_env=False,
        )


@contextlib.contextmanager
def volume() -> Iterator[Path]:
    """Yield an empty folder that the image's user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="hajimi-image-"))
    try:
        if os.getuid() == 0:
            os.chown(folder, USER, USER)
        else:
            folder.chmod(0o777)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(gemini: FakeGemini) -> dict[str, str]:
    return {
        "GEMINI_API_KEYS": KEY,
        "GEMINI_BASE_URL": gemini.url,
        "PASSWORD": PASSWORD,
        "ADMIN_PASSWORD": "image-check-admin",
        "PORT": "0",
    }


def check(engine: Docker | Buildah, points: Points) -> None:
    """Show that the image serves, ends cleanly, and finds its rows again."""
    printed: list[str] = []
    with FakeGemini() as gemini, volume() as folder:
        settings = environment(gemini)
        with points.point("the container starts and is ready"):
            begun, started = time.monotonic(), time.time()
            first = Serving(engine, folder, settings)
            print(f"        ready after {time.monotonic() - begun:.1f} s")
        if points.failed:
            return
        with points.point("it runs as uid 1000"):
            assert engine.inside("id", "-u") == str(USER)
            assert (folder / "hajimi.sqlite3").stat().st_uid == USER
        with points.point("a chat is answered, whole and streamed"):
            gemini.always("Hello from the image.")
            answer = first.chat("hello")
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == "Hello from the image."
            streamed = first.chat("hello", stream=True)
            assert streamed.status_code == 200, streamed.text
            assert events_of(streamed.text)[-1] == "[DONE]"
        with points.point("the pages and their static files are inside"):
            for path in ("/", "/admin/login/", "/static/admin/css/base.css"):
                page = httpx.get(first.address + path, trust_env=False)
                assert page.status_code == 200, f"{path}: {page.status_code}"
        with points.point("the translations are inside"):
            for path in ("/", "/admin/login/"):
                page = httpx.get(first.address + path, headers={"accept-language": "zh-CN"}, trust_env=False)
                assert re.search("[\u4e00-\u9fff]{4}", page.text), path
        with points.point("it writes nothing beside its volume, so its root may be read-only"):
            since = f"-newermt @{started - 1:.0f}"
            ours = f"find / -xdev -user {USER} -type f {since} -not -path '{VOLUME}/*' -not -path '/proc/*'"
            assert engine.inside("sh", "-c", f"{ours} 2>/dev/null; true") == ""
        with points.point("its own health check is content"):
            port = first.address.rpartition(":")[2]
            engine.inside("env", f"PORT={port}", *engine.health_command())
        with points.point("SIGTERM ends it with exit code 0"):
            assert engine.stop(first.process) == 0, "".join(first.lines)
            printed += first.lines
        with points.point("started again on the same volume, it still knows the first run's requests"):
            second = Serving(engine, folder, settings)
            assert second.chat("again").status_code == 200
            assert engine.stop(second.process) == 0
            printed += second.lines
            assert logged(folder) == 3
        with points.point("nothing it printed holds a secret"):
            text = "".join(printed)
            assert KEY not in text
            assert PASSWORD not in text


def logged(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "hajimi.sqlite3")) as connection:
        return int(connection.execute("SELECT count(*) FROM proxy_requestlog WHERE status = 200").fetchone()[0])


def engine_for(kind: str, image: str) -> Docker | Buildah:
    """Return what runs the image: an engine ("docker"), or a chroot ("buildah")."""
    return Docker(image) if kind == "docker" else Buildah(image)


def main(kind: str, image: str) -> int:
    points = Points()
    engine = engine_for(kind, image)
    try:
        check(engine, points)
    finally:
        engine.close()
    return points.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
