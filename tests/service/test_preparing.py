"""What happens before serving: many processes at once bring one database up to date, and a newer one is refused."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import ON_POSTGRES, fresh_postgres_url, postgres_rows
from tests.serving import ROOT, NotStarted, Server, environment_for

PREPARE = "import django; django.setup(); from hajimi_site.preparing import prepare; prepare()"
AT_ONCE = 4


def prepare_at_once(folder: Path, **environment: object) -> None:
    variables = environment_for(folder / "data", environment) | {"DJANGO_SETTINGS_MODULE": "hajimi_site.settings"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PREPARE],
            cwd=ROOT,
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert ends == [("", 0)] * AT_ONCE


COUNTS = "SELECT (SELECT count(*) FROM auth_user) admins, (SELECT count(*) FROM keys_key) keys"


def test_processes_that_start_at_once_prepare_one_after_the_other(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "db.sqlite3"
    elsewhere.parent.mkdir()
    prepare_at_once(tmp_path, DATABASE_URL=f"sqlite:///{elsewhere}")

    with contextlib.closing(sqlite3.connect(elsewhere)) as connection:
        assert connection.execute(COUNTS).fetchall() == [(1, 3)]


@ON_POSTGRES
def test_machines_that_start_at_once_prepare_one_after_the_other(tmp_path: Path) -> None:
    url = fresh_postgres_url(migrated=False)
    # No folder in common: only the database can make them wait for each other.
    prepare_at_once(tmp_path, DATABASE_URL=url, SECRET_KEY="of all machines", DATA_DIR="/dev/null/none")

    assert postgres_rows(url, COUNTS) == [{"admins": 1, "keys": 3}]
    [left] = postgres_rows(url, "SELECT count(*) locks FROM pg_locks WHERE locktype = 'advisory'")
    assert left == {"locks": 0}


def test_a_database_that_is_newer_than_the_code_is_refused_in_one_sentence(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    server.stop()
    columns = "INSERT INTO django_migrations (app, name, applied)"
    server.write((f"{columns} VALUES ('proxy', '9999_of_the_future', '2030-01-01 00:00:00+00:00')", ()))

    with pytest.raises(NotStarted) as refused:
        server.start()

    assert "the database is newer than this hajimi" in str(refused.value)
    assert "proxy.9999_of_the_future" in str(refused.value)
    assert "Traceback" not in str(refused.value)
