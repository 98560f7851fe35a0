"""Every command in the documents works: it is run here as it stands, or by what the table names."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes.pages import COMPOSE, CONTAINER, SYSTEMD, TERMUX, commands
from tests.service.test_moving_in import new_api, one_api
from tests.serving import KEYS, ROOT, environment_for

PAGES = (
    "README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")) if "zh-CN" not in path.name),
)
PYTHON = ".venv/bin/python manage.py "
# Pages about a hajimi that has been there a while; the others must work before its first start.
LIVED_IN = {"docs/backup.md", "docs/upkeep.md"}
HERE = rf"(\w+=\S+ )?{re.escape(PYTHON)}.*|tar .*"

# What cannot be run in a test's folder -> who runs it, or what a person must have for it.
ELSEWHERE = {
    r"export GEMINI_API_KEYS=.*|make run": "tests/newcomer.py",
    r"make (test|check)": ".ci/run",
    r"make help": "tests/unit/test_documents.py",
    r"make single-file.*": "tests/unit/test_single_file.py",
    r"docker (build|run) .*|(DOMAIN=\S+ )?docker compose .*": "tests/homes/docker.py",
    r"sudo (useradd|make|chmod|cp|systemctl|hajimi-manage) .*|journalctl .*|apt-get .*": "tests/homes/linux.py",
    r"curl http://127.0.0.1:7860/v1/me/recordings .*": "tests/service/test_recordings.py",
    # Not tried, and the page says so.
    r"kubectl .*|pkg .*|proot-distro .*": "docs/hosting.md",
}


# Who runs them reads them from these places, all of each.
AT_HOMES = {line for place in (CONTAINER, COMPOSE, SYSTEMD, TERMUX) for line in commands(*place)}


def commands_of(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = (line.partition(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def bring_files(folder: Path) -> None:
    """Write what the commands read: lists of keys, and small files of other proxies."""
    (folder / "keys.txt").write_text("\n".join(KEYS))
    (folder / ".env").write_text("")
    (folder / "settings.json").write_text(json.dumps({"GEMINI_API_KEYS": KEYS[0], "MAX_RETRY_NUM": 7}))
    (folder / "default_db").write_text(f"API_KEYS={json.dumps(KEYS)}\nMAX_RETRIES=4\n")
    one_api(folder / "one-api.db")
    new_api(folder / "new-api.db")


@pytest.mark.parametrize("page", PAGES)
def test_each_command_is_run_by_something_that_exists(page: str) -> None:
    for command in commands_of(page):
        places = [place for pattern, place in {HERE: "tests", **ELSEWHERE}.items() if re.fullmatch(pattern, command)]
        assert len(places) == 1, command
        assert (ROOT / places[0]).exists()
        if places[0].startswith("tests/homes/"):
            assert command in AT_HOMES


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(re.fullmatch(HERE, line) for line in commands_of(page))]
)
def test_the_commands_for_a_folder_of_ones_own_work_in_their_order(page: str, tmp_path: Path) -> None:
    bring_files(tmp_path)
    environment = environment_for(tmp_path / "data", {})
    manage = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'manage.py'))} "
    if page in LIVED_IN:
        subprocess.run([sys.executable, ROOT / "manage.py", "create_member", "carl"], env=environment, check=True)

    for command in commands_of(page):
        if not re.fullmatch(HERE, command):
            continue
        # Another database, but none of another machine.
        line = re.sub(r"postgres://\S+", f"sqlite:///{tmp_path}/other.sqlite3", command.replace(PYTHON, manage))
        run = subprocess.run(
            ["sh", "-e", "-c", line],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
