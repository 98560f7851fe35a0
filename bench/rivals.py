"""Other programs in hajimi's place: nginx, which only passes bytes on, and gateways people use for the same end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("HAJIMI_CACHE") or Path.home() / ".cache" / "hajimi")
PORTKEY = "@portkey-ai/gateway"
START_SECONDS = 120.0
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream gemini {{ server 127.0.0.1:{upstream}; keepalive 1200; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024; client_max_body_size 64m; keepalive_requests 1000000;
        location / {{
            proxy_pass http://gemini; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Rival:
    """One program that runs, and how to ask it. ``dialect`` is "google" when it translates nothing."""

    name: str
    pid: int
    port: int
    headers: tuple[tuple[str, str], ...] = ()
    dialect: str = "openai"
    password: str = "sk-bench"


class NotHere(Exception):
    """The program is not installed; the message says what to do."""


@contextlib.contextmanager
def nginx(upstream: int) -> Iterator[Rival]:
    """Run nginx. Raises NotHere."""
    if shutil.which("nginx") is None:
        raise NotHere("nginx is not installed (apt-get install nginx-light)")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="hajimi-bench-nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
        with _running(["nginx", "-c", str(config), "-p", folder], port) as pid:
            yield Rival("nginx, passing on only", pid, port, dialect="google")


@contextlib.contextmanager
def portkey(upstream: int) -> Iterator[Rival]:
    """Run Portkey's gateway on Node; installed once, from npm. Raises NotHere."""
    if shutil.which("npm") is None:
        raise NotHere("Node and npm are not installed")
    home = CACHE / "bench-portkey"
    start = home / "node_modules" / PORTKEY / "build" / "start-server.js"
    if not start.exists():
        home.mkdir(parents=True, exist_ok=True)
        _install(["npm", "install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix", str(home), PORTKEY])
    version = json.loads((home / "node_modules" / PORTKEY / "package.json").read_text())["version"]
    port = _free_port()
    headers = (
        ("x-portkey-provider", "google"),
        ("x-portkey-custom-host", f"http://127.0.0.1:{upstream}/v1beta"),
    )
    # It refuses hosts of this machine unless they are named.
    with _running(["node", str(start), "--headless", f"--port={port}"], port, TRUSTED_CUSTOM_HOSTS="127.0.0.1") as pid:
        yield Rival(f"Portkey {version}", pid, port, headers)


@contextlib.contextmanager
def litellm(upstream: int) -> Iterator[Rival]:
    """Run LiteLLM's proxy; installed once, from PyPI, in an environment of its own. Raises NotHere."""
    home = CACHE / "bench-litellm"
    python = home / "bin" / "python"
    if not (home / "bin" / "litellm").exists():
        _install([sys.executable, "-m", "venv", str(home)])
        _install([str(python), "-m", "pip", "install", "--quiet", "litellm[proxy]"])
    asked = [str(python), "-c", "from importlib.metadata import version; print(version('litellm'))"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    port = _free_port()
    address = f"http://127.0.0.1:{upstream}/v1beta/models/gemini-2.0-flash"
    model = {"model": "gemini/gemini-2.0-flash", "api_key": "sk-bench", "api_base": address}
    config = {"model_list": [{"model_name": "gemini-2.0-flash", "litellm_params": model}]}
    with tempfile.TemporaryDirectory(prefix="hajimi-bench-litellm-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(json.dumps(config))
        command = [str(home / "bin" / "litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
        # It does not start without a strong one.
        password = f"sk-{secrets.token_hex(32)}"
        alive = "/health/liveliness"
        with _running(command, port, path=alive, LITELLM_LOG="ERROR", LITELLM_MASTER_KEY=password) as pid:
            yield Rival(f"LiteLLM {version}", pid, port, password=password)


def _install(command: Sequence[str]) -> None:
    print(f"... installing: {' '.join(command)}", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"it cannot be installed: {(done.stderr or done.stdout).strip()[-300:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, *, path: str = "", **environment: str) -> Iterator[int]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port, path)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            if path:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
            else:
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return
        time.sleep(0.2)
    raise NotHere("it does not start")
