"""What happens before serving: many processes at once bring one database up to date, and a newer one is refused."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import ABOUT_SQLITE, ADVISORY_LOCKS, ON_POSTGRES, fresh_postgres_url, postgres_rows
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
    [left] = postgres_rows(url, f"SELECT count(*) locks FROM {ADVISORY_LOCKS}")
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


@ABOUT_SQLITE
@pytest.mark.parametrize(
    "words",
    [
        ("usage", "--json"),
        ("list_keys", "--json"),
        ("probe_keys", "--json"),
        ("import_keys", "{keys}", "--json"),
        ("create_member", "anna", "--json"),
        ("import_from", "hajimi", "{settings}", "--json"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_comes_before_the_first_start(tmp_path: Path, words: tuple[str, ...]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"GEMINI_API_KEYS": "AIzaSyThatMovesIn----------------------"}))
    keys = tmp_path / "keys.txt"
    keys.write_text("AIzaSy" + "k" * 33)
    server = Server(tmp_path / "data")

    first = server.manage(*(word.format(settings=settings, keys=keys) for word in words))
    again = server.manage("list_keys")

    assert (first.returncode, json.loads(first.stdout) is not None) == (0, True)
    assert "The database was not there yet and has been made" in first.stderr
    assert (again.returncode, again.stderr) == (0, "")


def test_what_a_command_brought_in_before_the_first_start_serves_after_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    made = Server(tmp_path / "data").manage("create_member", "anna", "--json")

    server = serve()

    with server.client(json.loads(made.stdout)["password"]) as client:
        assert client.get("/v1/models").status_code == 200


@ON_POSTGRES
def test_a_command_comes_before_the_first_start_on_postgresql_too(tmp_path: Path) -> None:
    server = Server(tmp_path, {"DATABASE_URL": fresh_postgres_url(migrated=False)})

    assert "has been made: PostgreSQL" in server.manage("create_member", "anna").stderr
    assert "There is a member named anna already." in server.manage("create_member", "anna").stderr


@ABOUT_SQLITE
def test_a_command_brings_the_snapshot_back_where_a_start_would(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    server = Server(tmp_path / "data", {"BACKUP_DIR": folder, "SECRET_KEY": "of both"})
    server.manage("create_member", "anna")
    server.manage("backup")

    elsewhere = Server(tmp_path / "elsewhere", server.changes)

    assert "There is a member named anna already." in elsewhere.manage("create_member", "anna").stderr


@ABOUT_SQLITE
def test_asking_for_help_makes_no_database(tmp_path: Path) -> None:
    assert Server(tmp_path).manage("usage", "--help").returncode == 0
    assert not list(tmp_path.glob("*.sqlite3"))


@ABOUT_SQLITE
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("DELETE FROM django_migrations WHERE app = 'keys' AND name NOT LIKE '0001%'", "older than this hajimi"),
        (
            "INSERT INTO django_migrations (app, name, applied) VALUES ('keys', '9999_later', '2030-01-01 00:00:00')",
            "newer than this hajimi",
        ),
    ],
)
def test_a_command_leaves_a_database_of_another_version_as_it_is(tmp_path: Path, change: str, complaint: str) -> None:
    server = Server(tmp_path)
    server.manage("usage")
    with contextlib.closing(sqlite3.connect(tmp_path / "hajimi.sqlite3")) as connection:
        connection.execute(change)
        connection.commit()

    told = server.manage("usage")

    assert (told.returncode, complaint in told.stderr, "Traceback" in told.stderr) == (1, True, False)
