"""Everything moves from SQLite to PostgreSQL and back: every row, and hajimi goes on as if nothing had been."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from tests.databases import ABOUT_SQLITE, ON_POSTGRES, fresh_postgres_url, postgres_rows
from tests.gemini import error
from tests.serving import KEYS, Server

pytestmark = ABOUT_SQLITE

Serve = Callable[..., Server]


@pytest.fixture
def postgres() -> str:
    return fresh_postgres_url(migrated=False)


def tables() -> dict[str, list[str]]:
    """Return the columns of every table of ours."""
    every = [model._meta for model in apps.get_models(include_auto_created=True)]
    return {meta.db_table: [str(field.column) for field in meta.concrete_fields] for meta in every if meta.managed}


def in_sqlite(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {', '.join(map(quoted, columns))} FROM {table}"), key=repr)
            for table, columns in tables().items()
        }


def quoted(name: str) -> str:
    return f'"{name}"'


def counts(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, int]:
    return {table: len(found) for table, found in rows.items()}


def lived_in(serve: Serve) -> Server:
    """Return a stopped hajimi that has keys, a park, a disabled key, logs, usage and an admin's session."""
    server = serve()
    server_gemini = server.changes["GEMINI_BASE_URL"]
    assert server_gemini
    for _ in range(4):
        assert server.chat("Grüße 你好").status_code == 200
    with server.client("") as browser:
        browser.get("/admin/login/")
    return server


@ON_POSTGRES
def test_every_row_goes_to_postgresql_and_comes_back(serve: Serve, gemini: Any, postgres: str, tmp_path: Path) -> None:
    gemini.replies(error("per_day"), error("suspended"), key=KEYS[0])
    server = lived_in(serve)
    server.stop()
    before = in_sqlite(server.data_dir / "hajimi.sqlite3")

    there = server.manage("copy_database", "--to", postgres)
    assert there.returncode == 0, there.stderr
    moved = Server(server.data_dir, server.changes | {"DATABASE_URL": postgres}).start()
    try:
        assert moved.chat().status_code == 200, "keys and passwords can be read, new rows find free numbers"
        [log] = postgres_rows(postgres, "SELECT count(*) AS n FROM proxy_requestlog")
        assert log["n"] == 5
        moved.stop()
        back = moved.manage("copy_database", "--to", f"sqlite:///{tmp_path / 'back.sqlite3'}")
    finally:
        moved.kill()

    assert back.returncode == 0, back.stderr
    after = in_sqlite(tmp_path / "back.sqlite3")
    assert counts(before)["proxy_requestlog"] == 4
    assert set(before["proxy_requestlog"]) < set(after["proxy_requestlog"])
    for table in ("keys_key", "keys_member", "auth_user", "auth_permission", "proxy_upstreammodel", "keys_park"):
        assert {row[:4] for row in before[table]} <= {row[:4] for row in after[table]}, table
    assert f"{counts(before)['proxy_requestlog']:10}  proxy_requestlog" in there.stdout
    assert sum(counts(before).values()) == int(there.stdout.splitlines()[-1].split()[0])


@ON_POSTGRES
def test_a_target_that_holds_something_is_left_alone(serve: Serve, postgres: str) -> None:
    server = lived_in(serve)
    server.stop()
    assert server.manage("copy_database", "--to", postgres).returncode == 0

    again = server.manage("copy_database", "--to", postgres)
    replaced = server.manage("copy_database", "--to", postgres, "--replace")

    assert again.returncode == 1
    assert "already holds rows" in again.stderr
    assert "--replace" in again.stderr
    assert replaced.returncode == 0, replaced.stderr


@ON_POSTGRES
def test_postgresql_is_backed_up_while_it_serves_and_restored(serve: Serve, postgres: str, tmp_path: Path) -> None:
    server = serve(DATABASE_URL=postgres)
    assert server.chat().status_code == 200

    taken = server.manage("backup", tmp_path / "snapshots")
    assert taken.returncode == 0, taken.stderr
    assert server.chat().status_code == 200
    server.stop()
    refused = server.manage("restore", *(tmp_path / "snapshots").iterdir())
    restored = server.manage("restore", *(tmp_path / "snapshots").iterdir(), "--replace")

    assert "already holds rows" in refused.stderr
    assert restored.returncode == 0, restored.stderr
    [log] = postgres_rows(postgres, "SELECT count(*) AS n FROM proxy_requestlog")
    assert log["n"] == 1
    assert server.start().chat().status_code == 200


def test_a_running_hajimi_is_not_copied(serve: Serve, tmp_path: Path) -> None:
    server = serve()

    refused = server.manage("copy_database", "--to", f"sqlite:///{tmp_path / 'new.sqlite3'}")

    assert refused.returncode == 1
    assert "hajimi is running" in refused.stderr
    assert not (tmp_path / "new.sqlite3").exists()


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "postgres://nobody@127.0.0.1:1/none", "nonsense"])
def test_an_address_that_cannot_be_is_refused_in_a_sentence(serve: Serve, url: str) -> None:
    server = serve()
    server.stop()

    refused = server.manage("copy_database", "--to", url)

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.strip().count("\n") <= 3


def test_a_copy_holds_the_same_rows_in_every_table(serve: Serve, gemini: Any, tmp_path: Path) -> None:
    gemini.replies(error("per_day"), error("suspended"), key=KEYS[0])
    server = lived_in(serve)
    server.stop()

    copied = server.manage("copy_database", "--to", f"sqlite:///{tmp_path / 'new.sqlite3'}")

    assert copied.returncode == 0, copied.stderr
    before, after = in_sqlite(server.data_dir / "hajimi.sqlite3"), in_sqlite(tmp_path / "new.sqlite3")
    assert before["keys_key"]
    assert before == after
