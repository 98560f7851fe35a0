"""A Debian of its own, with systemd as its first process, in namespaces of this machine. Needs root, but no engine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.serving import ROOT

CGROUPS = Path("/sys/fs/cgroup")
# Before systemd starts: what a machine has when it boots.
BOOT = """
set -e
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
hostname home
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
fi
for folder in run tmp dev; do mount -t tmpfs -o mode=1755 tmpfs $folder; done
chmod 1777 tmp
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do : > dev/$device; mount --bind /dev/$device dev/$device; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /sbin/init
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def lacking() -> str | None:
    """Return what this machine lacks to be the host of another, or nothing."""
    if os.getuid() != 0:
        return "this user is not root"
    missing = [name for name in ("buildah", "debootstrap", "unshare", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if _hierarchy().is_dir() else f"{_hierarchy()} is not there"


def _hierarchy() -> Path:
    return CGROUPS if (CGROUPS / "cgroup.controllers").exists() else CGROUPS / "systemd"


class Machine:
    """One Debian: begun as a bare root, booted when its packages are there."""

    def __init__(self) -> None:
        base = "localhost/" + re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
        subprocess.run([ROOT / "tools/image_base.sh", base], check=True)
        self.container = _output("buildah", "from", "--pull-never", base)
        self.root = Path(_output("buildah", "mount", self.container))
        self.cgroup = _hierarchy() / f"hajimi-homes-{os.getpid()}"
        self.first: int | None = None
        self._settle()

    def _settle(self) -> None:
        """Give it a name, and this machine's way to the package servers."""
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost home\n")
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        trust = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n"
        (self.root / "etc/pip.conf").write_text(trust)
        # Nobody is at home yet: no service may be started while packages are unpacked.
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)

    def boot(self) -> None:
        """Start its systemd and wait until everything has started."""
        self.cgroup.mkdir()
        namespaces = ("--pid", "--mount", "--cgroup", "--ipc", "--uts")
        enter = f"echo $$ > {self.cgroup}/cgroup.procs; exec unshare --fork --kill-child {' '.join(namespaces)} "
        self.process = subprocess.Popen(
            ["sh", "-c", f'{enter} sh -c "$0" boot "$1"', BOOT, self.root], stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while self.first is None or "running" not in self.run("systemctl is-system-running", check=False):
            if time.monotonic() > deadline:
                raise RuntimeError(self.run("systemctl --failed; journalctl -b | tail -n 30", check=False))
            time.sleep(0.3)
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.first = int(children[0]) if children else None

    def run(self, command: str, check: bool = True, seconds: float = 300) -> str:
        """Run a command in a root's shell there, and return what it prints."""
        enter = ["nsenter", "-t", str(self.first), "-m", "-p", "-i", "-u", "-C"] if self.first else []
        shell = ["env", "-i", f"PATH={PATH}", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "sh", "-e", "-c", command]
        run = subprocess.run(
            [*enter, "chroot", self.root, *shell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or run.returncode == 0, f"{command}: exit {run.returncode}\n{run.stdout}"
        return run.stdout

    def close(self) -> None:
        """End everything in it and leave nothing behind."""
        if self.first is not None:
            os.kill(self.first, signal.SIGKILL)
            self.process.wait(20)
            self._forget_groups()
        for command in ("umount", "rm"):
            subprocess.run(["buildah", command, self.container], check=False, capture_output=True)

    def _forget_groups(self) -> None:
        for _ in range(50):
            try:
                for group in sorted(self.cgroup.glob("**/"), key=lambda path: -len(path.parts)):
                    group.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
