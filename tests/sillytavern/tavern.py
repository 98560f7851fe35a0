"""SillyTavern itself: installed once into a cache folder, started on a free port, driven in a real Chromium."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.shared import SHARED

VERSION = "1.19.0"
CACHE = Path(os.environ.get("HAJIMI_CACHE") or Path.home() / ".cache" / "hajimi-ci")
HOME = CACHE / f"sillytavern-{VERSION}"
INSTALLED = HOME / "node_modules" / "sillytavern" / "server.js"
START_SECONDS = 420
CLUMSY = 2  # the driver's exit code when a step on the page could not be done
CONFIG = """\
listen: false
whitelistMode: false
securityOverride: true
browserLaunch: {enabled: false}
enableUserAccounts: false
basicAuthMode: false
extensions: {enabled: true, autoUpdate: false, models: {autoDownload: false}}
enableDownloadableTokenizers: false
enableServerPlugins: false
enableServerPluginsAutoUpdate: false
"""


def missing() -> str:
    """Say what this machine lacks for the run, or ""."""
    if SHARED is None or not (SHARED / "sillytavern" / "drive" / "ui.mjs").is_file():
        return "the driver (../shared/sillytavern/drive) is not beside the repository"
    for name in ("node", "npm", os.environ.get("CHROMIUM", "/usr/bin/chromium")):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    return ""


def install() -> None:
    """Install SillyTavern into the cache folder unless it is there; raises CalledProcessError when npm fails."""
    if INSTALLED.is_file() and (HOME / "node_modules" / "playwright-core").is_dir():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "package.json").write_text('{"private": true}\n')
    packages = [f"sillytavern@{VERSION}", "playwright-core"]
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *packages]
    subprocess.run(command, cwd=HOME, check=True, stdin=subprocess.DEVNULL)


class Tavern:
    """A running SillyTavern with fresh data. ``ui`` drives its page, ``api`` its server."""

    def __init__(self, url: str, base: str, password: str, folder: Path) -> None:
        self.url, self.base, self.password, self.folder = url, base, password, folder
        self._api = _driver_module().Tavern(url)
        self._api.write_key(password)

    def ui(self, *models: str, seconds: int = 240, **options: Any) -> dict[str, Any]:
        """Chat once with each model in the page, as a person would, and return what the page showed."""
        options = {"st": self.url, "base": self.base, "key": self.password, "models": ",".join(models), **options}
        arguments = [part for name, value in options.items() for part in _argument(name, value)]
        run = self._run(arguments, seconds)
        if run.returncode == CLUMSY:
            # On a busy machine a page that opens slowly makes the driver give up on a click, not on an answer.
            print(f"        once more, a click failed: {json.loads(run.stdout).get('failed', '')[:200]!r}")
            run = self._run(arguments, seconds)
        if run.returncode:
            raise RuntimeError(f"the page could not be driven: {run.stdout[-3000:]}{run.stderr[-2000:]}")
        return dict(json.loads(run.stdout))

    def _run(self, arguments: list[str], seconds: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["node", str(_drive() / "ui.mjs"), *arguments],
            env={**os.environ, "ST_HOME": str(HOME)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def status(self, base: str | None = None) -> dict[str, Any]:
        """Ask for the model list as Connect does."""
        return dict(self._api.status(base or self.base))

    def generate(self, model: str, messages: list[Any], *, base: str | None = None, **options: Any) -> dict[str, Any]:
        """Send one chat through SillyTavern's server."""
        return dict(self._api.generate(base or self.base, model, messages, **options))


def _argument(name: str, value: Any) -> list[str]:
    name = f"--{name.replace('_', '-')}"
    if value is True:
        return [name]
    return [name, json.dumps(value) if isinstance(value, dict | bool) else str(value)]


def _drive() -> Path:
    assert SHARED is not None
    return SHARED / "sillytavern" / "drive"


def _driver_module() -> Any:
    spec = importlib.util.spec_from_file_location("sillytavern_api", _drive() / "api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def running(base: str, password: str) -> Iterator[Tavern]:
    """Start a SillyTavern whose custom endpoint is ``base``, and end it afterwards."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="sillytavern-") as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(f"port: {port}\n{CONFIG}")
        data = ["--configPath", str(folder / "config.yaml"), "--dataRoot", str(folder / "data")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["node", "server.js", *data, "--port", str(port), "--browserLaunchEnabled", "false"],
                cwd=INSTALLED.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_for(port, process, folder / "log")
            yield Tavern(f"http://127.0.0.1:{port}", base, password, folder)
        finally:
            process.terminate()
            process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the page and its libraries are there: the first start compiles them."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False, timeout=60) as client:
            if all(client.get(f"http://127.0.0.1:{port}{path}").status_code == 200 for path in ("/", "/lib.js")):
                return
        time.sleep(0.3)
    raise RuntimeError(f"SillyTavern did not start: {log.read_text()[-3000:]}")
