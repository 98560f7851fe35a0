"""A running hajimi on PostgreSQL is seen: nobody restores or copies over it, or copies it away, by mistake."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import ADVISORY_LOCKS, ON_POSTGRES, postgres_of, postgres_rows
from tests.own_postgres import NEEDS_OWN_POSTGRES, OwnPostgres
from tests.serving import Server

pytestmark = ON_POSTGRES

Serve = Callable[..., Server]
LOCKS = f"SELECT count(*) AS n FROM {ADVISORY_LOCKS}"


@pytest.fixture
def served(serve: Serve, tmp_path: Path) -> Server:
    """A hajimi that serves from PostgreSQL, and has answered once."""
    server = serve(DATABASE_URL=postgres_of(tmp_path / "data"))
    assert server.chat().status_code == 200
    return server


@pytest.fixture
def snapshot(served: Server, tmp_path: Path) -> Path:
    assert served.manage("backup", tmp_path / "snapshots").returncode == 0
    [taken] = (tmp_path / "snapshots").iterdir()
    return taken


@pytest.fixture
def elsewhere(tmp_path: Path) -> Server:
    """A hajimi that does not run, and has a SQLite database of its own."""
    server = Server(tmp_path / "elsewhere", {"DATABASE_URL": f"sqlite:///{tmp_path / 'elsewhere' / 'db.sqlite3'}"})
    server.data_dir.mkdir()
    assert server.manage("create_member", "anna").returncode == 0
    return server


def url_of(server: Server) -> str:
    return str(server.changes["DATABASE_URL"])


def logged(server: Server) -> int:
    return int(server.rows("SELECT count(*) AS n FROM proxy_requestlog")[0]["n"])


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.1)


def test_nothing_is_restored_into_a_database_that_is_served_from(served: Server, snapshot: Path) -> None:
    assert served.chat().status_code == 200

    refused = served.manage("restore", snapshot, "--replace")
    assert (refused.returncode, logged(served)) == (1, 2)
    assert "hajimi is running on the PostgreSQL database" in refused.stderr
    assert "Traceback" not in refused.stderr

    served.stop()
    restored = served.manage("restore", snapshot, "--replace")
    assert restored.returncode == 0, restored.stderr
    assert logged(served) == 1


def test_who_knows_better_restores_by_force(served: Server, snapshot: Path) -> None:
    assert served.chat().status_code == 200

    forced = served.manage("restore", snapshot, "--replace", "--force")

    assert forced.returncode == 0, forced.stderr
    assert logged(served) == 1
    assert served.chat().status_code == 200


def test_nothing_is_copied_into_a_database_that_is_served_from(served: Server, elsewhere: Server) -> None:
    refused = elsewhere.manage("copy_database", "--to", url_of(served), "--replace")
    assert (refused.returncode, logged(served)) == (1, 1)
    assert "hajimi is running on the PostgreSQL database" in refused.stderr

    served.stop()
    copied = elsewhere.manage("copy_database", "--to", url_of(served), "--replace")
    assert copied.returncode == 0, copied.stderr
    assert logged(served) == 0


def test_a_database_that_is_served_from_is_not_copied_away(served: Server, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'new.sqlite3'}"

    refused = served.manage("copy_database", "--to", target)
    assert refused.returncode == 1
    assert "its next requests would be lost" in refused.stderr
    assert not (tmp_path / "new.sqlite3").exists()

    assert served.manage("copy_database", "--to", target, "--force").returncode == 0


def test_a_killed_process_counts_as_gone(served: Server, snapshot: Path) -> None:
    served.kill()

    # PostgreSQL hears of it from the system, a moment later.
    until(lambda: not postgres_rows(url_of(served), LOCKS)[0]["n"])
    assert served.manage("restore", snapshot, "--replace").returncode == 0


def test_it_is_shown_by_the_connection_that_reads_the_settings(served: Server) -> None:
    holders = f"SELECT query FROM pg_stat_activity JOIN {ADVISORY_LOCKS} USING (pid)"

    until(lambda: any("proxy_revision" in row["query"] for row in postgres_rows(url_of(served), holders)))

    assert len(postgres_rows(url_of(served), holders)) == 1


@NEEDS_OWN_POSTGRES
def test_it_is_seen_again_after_a_crash_of_the_database(serve: Serve, tmp_path: Path) -> None:
    with OwnPostgres() as postgres:
        server = serve(DATABASE_URL=postgres.url)
        postgres.stop()
        postgres.start()

        until(lambda: bool(postgres_rows(postgres.url, LOCKS)[0]["n"]))

        taken = server.manage("backup", tmp_path / "snapshots")
        assert taken.returncode == 0, taken.stderr
        refused = server.manage("restore", *(tmp_path / "snapshots").iterdir(), "--replace")
        assert "hajimi is running on the PostgreSQL database" in refused.stderr
        assert server.stop() == 0
        restored = server.manage("restore", *(tmp_path / "snapshots").iterdir(), "--replace")
        assert restored.returncode == 0, restored.stderr
