"""Linux with systemd, by docs/hosting.md: its commands as they stand, on a bare Debian that really runs systemd."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import httpx

from tests.gemini import FakeGemini
from tests.homes import machine
from tests.homes.machine import Machine
from tests.homes.pages import SYSTEMD, TERMUX, UPKEEP, commands, row
from tests.newcomer import free_port
from tests.points import Points
from tests.serving import ROOT, chat

KEY, PASSWORD = "AIzaSyKeyOfAHomeWithSystemd------------01", "a-password-for-this-home"
READY = re.compile(r"hajimi \S+ listening on http://127\.0\.0\.1:\d+")


def unpack(home: Machine) -> None:
    """Put the source, as it is committed, into /opt/hajimi."""
    there = home.root / "opt/hajimi"
    there.mkdir(exist_ok=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", there], input=archive.stdout, check=True)


def settings(home: Machine, gemini: FakeGemini, port: int) -> None:
    lines = {
        "GEMINI_API_KEYS": KEY,
        "PASSWORD": PASSWORD,
        "HOST": "127.0.0.1",
        "PORT": port,
        "GEMINI_BASE_URL": gemini.url,
    }
    (home.root / "etc/hajimi.env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def as_written(home: Machine, command: str) -> str:
    """Run one of the page's commands; one that follows a log for ever is followed for two seconds."""
    if command.endswith(" -f"):
        return home.run(f"timeout 2 {command} || true")
    return home.run(command)


def ask(port: int) -> str:
    """Chat, as soon as it listens, and return the answer."""
    for _ in range(100):
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                json=chat("hello"),
                headers={"authorization": f"Bearer {PASSWORD}"},
                timeout=30,
                trust_env=False,
            )
        except httpx.ConnectError:
            time.sleep(0.2)
            continue
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])
    raise AssertionError("nothing listens")


def main_process(home: Machine) -> int:
    return int(home.run("systemctl show hajimi --property MainPID --value"))


def check(points: Points) -> None:
    """Follow the page from a bare Debian to an answer, then through the days after."""
    port = free_port()
    with FakeGemini() as gemini, Machine() as home:
        gemini.always("Hello from a service.")
        with points.point("Debian: the packages that the page names"):
            [packages] = [line for line in commands(*TERMUX) if line.startswith("apt-get")]
            # A server has these two; this root is barer than one.
            home.run("apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd-sysv dbus sudo")
            home.run(packages)
        unpack(home)
        settings(home, gemini, port)
        home.boot()
        printed: dict[str, str] = {}
        for command in commands(*SYSTEMD):
            with points.point(f"systemd: {command}"):
                printed[command] = as_written(home, command)
        with points.point("systemd: the log shows the ready line, and a chat is answered"):
            assert ask(port) == "Hello from a service."
            assert READY.search(home.run("journalctl -u hajimi --no-pager"))
        with points.point("systemd: what is stored is for the service only, and the service has no rights"):
            assert home.run("stat -c '%U %a' /var/lib/hajimi").split() == ["hajimi", "700"]
            status = Path(f"/proc/{_outside(home)}/status").read_text()
            assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
            assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE), status
        with points.point("systemd: a process that is killed is started again"):
            before = main_process(home)
            home.run(f"kill -KILL {before}")
            assert ask(port) == "Hello from a service."
            assert main_process(home) != before
        with points.point("systemd: it is updated as the page says, and knows what it knew"):
            unpack(home)
            for command in row(UPKEEP, "Updating", "systemd"):
                as_written(home, command)
            assert ask(port) == "Hello from a service."
            assert "shared" in home.run("sudo hajimi-manage usage")
        with points.point("systemd: SIGTERM ends it in order"):
            home.run("systemctl stop hajimi")
            result = home.run("systemctl show hajimi --property Result,ExecMainStatus --value")
            assert sorted(result.split()) == ["0", "success"]


def _outside(home: Machine) -> int:
    """Return the service's process as this machine counts processes."""
    inside = main_process(home)
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            [ids] = re.findall(r"^NSpid:\t(.*)$", status.read_text(), re.MULTILINE)
        except (OSError, ValueError):
            continue
        numbers = ids.split()
        if len(numbers) == 2 and int(numbers[1]) == inside and "manage.py" in (status.parent / "cmdline").read_text():
            return int(numbers[0])
    raise AssertionError(f"no process {inside}")


def main(points: Points) -> None:
    """Run the check, where this machine can."""
    if lacking := machine.lacking():
        print(f"SKIPPED Linux with systemd: {lacking}")
        return
    check(points)
