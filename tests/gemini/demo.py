"""`make demo`: the whole of hajimi in front of the built-in Gemini simulator, with no key and no internet."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.gemini import FakeGemini, answer
from tests.serving import KEPT

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"^hajimi \S+ listening on (http://\S+)")
MODEL = "gemini-2.5-flash"
MESSAGE = "Hello! Every word of this comes back from a simulated Gemini, one by one, as a real answer would."
SECONDS_PER_WORD = 0.08
START_SECONDS, STOP_SECONDS = 60, 30
PASSWORDS_FILE = "demo-passwords.json"

# What of the environment a demo listens to. Databases, credentials and proxies of this machine are not for it.
TAKEN = (
    *KEPT,
    "HOST",
    "PORT",
    "TZ",
    "LANGUAGE_CODE",
    "PASSWORD",
    "ADMIN_USERNAME",
    "ADMIN_PASSWORD",
    "FAKE_STREAMING",
    "RANDOM_STRING",
    "DRAIN_SECONDS",
)
# What a demo wants, unless the environment says otherwise.
WANTED = {
    "HOST": "127.0.0.1",
    "FAKE_STREAMING": "false",
    "RANDOM_STRING": "false",
    "DRAIN_SECONDS": "5",
    "ADMIN_USERNAME": "admin",
}


def main() -> int:
    """Run until Ctrl-C or SIGTERM. Return the exit code: 0, or 1 when hajimi could not start or answer."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _data_dir() as data_dir, FakeGemini() as gemini:
        gemini.always(answer(delay=SECONDS_PER_WORD))
        return _run(data_dir, gemini.url)
    return 0


def _run(data_dir: Path, gemini_url: str) -> int:
    environment = _environment(data_dir, gemini_url)
    # In a session of its own, so that Ctrl-C reaches this program alone, which then ends the server in order.
    server = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        return _show(server, environment)
    finally:
        _stop(server)


def _show(server: subprocess.Popen[str], environment: dict[str, str]) -> int:
    address = _address_of(server)
    if not address:
        print("hajimi did not start.", file=sys.stderr)
        return 1
    print(f"\nAddress: {address}")
    print(f"Password: {environment['PASSWORD']}")
    print(f"Admin: {environment['ADMIN_USERNAME']} / {environment['ADMIN_PASSWORD']}")
    print(f"(SillyTavern: Custom, OpenAI-compatible, {address}/v1; the admin pages: {address}/admin/)\n")
    if not _chat(address, environment["PASSWORD"]):
        print("The chat was not answered.", file=sys.stderr)
        return 1
    print("\nStaying up; Ctrl-C ends.", flush=True)
    return 1 if server.wait() else 0


def _environment(data_dir: Path, gemini_url: str) -> dict[str, str]:
    own = {name: value for name in TAKEN if (value := os.environ.get(name))}
    keys = ",".join(f"AIzaSyDemoKeyOfTheBuiltInSimulator-000{number}" for number in (1, 2, 3))
    forced = {"ENV_FILE": os.devnull, "DATA_DIR": str(data_dir), "GEMINI_BASE_URL": gemini_url, "GEMINI_API_KEYS": keys}
    return {**WANTED, **_passwords(data_dir), **own, **forced, "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def _data_dir() -> Iterator[Path]:
    """Give the folder DATA_DIR names, or a temporary one that is gone afterwards."""
    if named := os.environ.get("DATA_DIR"):
        path = Path(named).expanduser().resolve()
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="hajimi-demo-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def _passwords(data_dir: Path) -> dict[str, str]:
    """Return this demo's passwords; kept beside its database, since a second run meets the same admin account."""
    path = data_dir / PASSWORDS_FILE
    if path.exists():
        return dict(json.loads(path.read_text()))
    made = {"PASSWORD": secrets.token_urlsafe(9), "ADMIN_PASSWORD": secrets.token_urlsafe(12)}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file)
    return made


def _address_of(server: subprocess.Popen[str]) -> str:
    """Pass on what the server prints; return its address once it is ready, "" if it ends or takes too long."""
    found: list[str] = []
    settled = threading.Event()

    def read() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            print(line, end="", flush=True)
            if ready := READY.match(line):
                found.append(ready[1].replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]"))
                settled.set()
        settled.set()

    threading.Thread(target=read, daemon=True).start()
    settled.wait(START_SECONDS)
    return found[0] if found else ""


def _chat(address: str, password: str) -> bool:
    """Send one streamed chat and print its words as they come; return whether it was answered."""
    print(f"You: {MESSAGE}\nGemini: ", end="", flush=True)
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": MESSAGE}]}
    headers = {"authorization": f"Bearer {password}"}
    url = f"{address}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60, trust_env=False) as response:
        if response.status_code != 200:
            print(f"({response.status_code}) {response.read().decode(errors='replace')}")
            return False
        for event in map(_event, response.iter_lines()):
            if "error" in event:
                print(f"({event['error']['message']})")
                return False
            print(_text(event), end="", flush=True)
    print()
    return True


def _event(line: str) -> dict[str, Any]:
    """Return the event in a line of a stream, an empty one if there is none."""
    data = line.removeprefix("data: ")
    return {} if data in (line, "[DONE]") else dict(json.loads(data))


def _text(event: dict[str, Any]) -> str:
    choices = event.get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or ""


def _stop(server: subprocess.Popen[str]) -> None:
    # A second Ctrl-C must not cut this short: the server is to write what it has queued.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
