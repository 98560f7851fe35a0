"""A Docker engine with compose: the one that answers, or Debian's own, started for the time of a check (needs root)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.serving import KEPT, ROOT


def lacking() -> str | None:
    """Return what this machine lacks for Docker, or nothing."""
    if _answers({}):
        return None
    if os.getuid() != 0:
        return "no Docker engine answers, and this user may not start one"
    missing = [name for name in ("dockerd", "buildah", "debootstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def _answers(environment: dict[str, str]) -> bool:
    if shutil.which("docker") is None:
        return False
    info = subprocess.run(["docker", "info"], env={**os.environ, **environment}, capture_output=True, check=False)
    return info.returncode == 0


class Engine:
    """What runs ``docker`` and ``docker compose``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hajimi-docker-"))
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.daemon: subprocess.Popen[bytes] | None = None
        if not _answers({}):
            self._start()
            self._bring_base()
        if self.run("docker compose version", check=False).startswith("docker: unknown"):
            self._bring_compose()

    def _start(self) -> None:
        socket = f"unix://{self.folder}/socket"
        self.environment["DOCKER_HOST"] = socket
        places = ("--data-root", "data", "--exec-root", "run", "--pidfile", "pid")
        options = [part if part.startswith("--") else f"{self.folder}/{part}" for part in places]
        with (self.folder / "log").open("w") as log:
            self.daemon = subprocess.Popen(["dockerd", *options, "--host", socket], stdout=log, stderr=log)
        for _ in range(200):
            if _answers(self.environment):
                return
            if self.daemon.poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def _bring_base(self) -> None:
        """Load the stand-in for the image that the Dockerfile starts from: none can be pulled everywhere."""
        base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
        subprocess.run([ROOT / "tools/image_base.sh", f"localhost/{base}"], check=True)
        archive = self.folder / "base.tar"
        push = ["buildah", "push", "--quiet", f"localhost/{base}", f"docker-archive:{archive}:{base}"]
        subprocess.run(push, check=True)
        self.run(f"docker load --quiet --input {archive}")
        archive.unlink()

    def _bring_compose(self) -> None:
        """Let ``docker compose`` be found: it came with requirements-slow.txt."""
        plugins = self.folder / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(ROOT / ".venv/bin/docker-compose")
        self.environment["DOCKER_CONFIG"] = str(plugins.parent)

    def run(self, command: str, folder: Path = ROOT, check: bool = True, seconds: float = 600) -> str:
        """Run a command line in a folder and return what it prints."""
        run = subprocess.run(
            ["sh", "-e", "-c", command],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or run.returncode == 0, f"{command}: exit {run.returncode}\n{run.stdout}"
        return run.stdout

    def start(self, command: str, folder: Path) -> subprocess.Popen[str]:
        """Start a command line that stays in the foreground."""
        return subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def gateway(self) -> str:
        """The address under which containers reach this machine."""
        form = "{{(index .IPAM.Config 0).Gateway}}"
        found = self.run(f"docker network inspect bridge --format '{form}'").strip()
        # An engine that has just made its first bridge may not say so; the bridge itself knows.
        return found or self.run("ip -4 -o address show docker0").split()[3].partition("/")[0]

    def close(self) -> None:
        """End an engine of our own and forget what it stored."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(60)
            _forget_rules()
            # What the engine keeps its network in stays mounted after its end.
            subprocess.run(["umount", self.folder / "run/netns/default"], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _forget_rules() -> None:
    """Take back the engine's bridge and its packet filter rules, which it leaves behind."""
    subprocess.run(["ip", "link", "delete", "docker0"], check=False, capture_output=True)
    for table in ("filter", "nat"):
        listed = subprocess.run(["iptables-save", "-t", table], capture_output=True, text=True, check=False).stdout
        rules = [line for line in listed.splitlines() if "DOCKER" in line or "docker0" in line]
        for rule in (rule for rule in rules if rule.startswith("-A")):
            subprocess.run(["iptables", "-t", table, "-D", *rule.split()[1:]], check=False, capture_output=True)
        for chain in re.findall(r"^:(DOCKER\S*)", listed, re.MULTILINE):
            for action in ("-F", "-X"):
                subprocess.run(["iptables", "-t", table, action, chain], check=False, capture_output=True)
