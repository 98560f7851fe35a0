"""Asks the vulnerability service about every locked library, with pip-audit; says SKIPPED where nobody answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300


def main() -> int:
    """Return 1 when a library that users install has a known fault."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.txt", "--disable-pip"]
    command += ["--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        libraries = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print("SKIPPED pip-audit: the vulnerability service does not answer")
        return 0
    except (ValueError, KeyError):
        print(f"SKIPPED pip-audit: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
        return 0
    asked = [library for library in libraries if "vulns" in library]
    if not asked:
        print(f"SKIPPED pip-audit: the service knows none of {len(libraries)} libraries; it is not the public one")
        return 0
    faulty = [library for library in asked if library["vulns"]]
    for library in faulty:
        names = ", ".join(fault["id"] for fault in library["vulns"])
        print(f"{library['name']} {library['version']}: {names}")
    print(f"{len(asked)} of {len(libraries)} libraries asked about, {len(faulty)} with known faults")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
