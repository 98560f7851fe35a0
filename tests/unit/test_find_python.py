"""`make` picks a Python that really runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "find_python.sh"
BROKEN_SHIM = "#!/bin/sh\necho 'no such version' >&2\nexit 127\n"
REAL = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
# Debian's python3 without python3-venv: everything is there but ensurepip.
WITHOUT_ENSUREPIP = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def put(path: Path, name: str, script: str) -> str:
    (path / name).write_text(script)
    (path / name).chmod(0o755)
    return str(path / name)


def find(path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"PATH": str(path), **environ}, capture_output=True, text=True, check=False
    )


def test_it_takes_the_newest(path: Path) -> None:
    put(path, "python3", REAL)
    put(path, "python3.11", REAL)
    newest = put(path, "python3.13", REAL)

    assert find(path).stdout.strip() == newest


def test_it_passes_over_a_name_that_does_not_run(path: Path) -> None:
    put(path, "python3.14", BROKEN_SHIM)
    put(path, "python3.13", BROKEN_SHIM)
    working = put(path, "python3", REAL)

    assert find(path).stdout.strip() == working


def test_it_takes_the_one_it_is_told(path: Path) -> None:
    put(path, "python3.14", REAL)
    told = put(path, "mine", REAL)

    assert find(path, PYTHON="mine").stdout.strip() == told


def test_a_python_it_is_told_that_does_not_run_is_named(path: Path) -> None:
    put(path, "python3", REAL)

    found = find(path, PYTHON="/nowhere/python")

    assert found.returncode == 1
    assert (
        found.stderr.strip() == "PYTHON is set to '/nowhere/python', which does not run or is older than Python 3.11."
    )


def test_it_says_what_to_install_when_ensurepip_is_missing(path: Path) -> None:
    put(path, "python3", WITHOUT_ENSUREPIP)

    found = find(path)

    assert found.returncode == 1
    assert found.stderr.strip().endswith("install its venv package (Debian, Ubuntu: apt-get install python3-venv).")


def test_it_says_what_is_needed_when_there_is_no_python(path: Path) -> None:
    put(path, "python3", BROKEN_SHIM)

    assert "needs Python 3.11 or newer" in find(path).stderr
