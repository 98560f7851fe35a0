"""Snapshots in odd places: first starts that were killed, other writers in the folder, mounts without locks."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases import ABOUT_SQLITE
from tests.serving import ROOT, Server

pytestmark = ABOUT_SQLITE

SECRET = "a secret key that does not lie in DATA_DIR " * 2
Serve = Callable[..., Server]
NEEDS_CC = pytest.mark.skipif(not shutil.which("cc"), reason="a mount without locks is played in C; no cc is installed")


def snapshots(folder: Path) -> list[Path]:
    return sorted(folder.glob("hajimi-*.sqlite3"))


def logged(server: Server) -> int:
    return int(server.rows("SELECT count(*) AS n FROM proxy_requestlog")[0]["n"])


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def running(serve: Serve, bucket: Path) -> Server:
    """A hajimi that keeps snapshots in ``bucket``, and has answered twice."""
    server = serve(BACKUP_DIR=bucket, SECRET_KEY=SECRET)
    for _ in range(2):
        assert server.chat().status_code == 200
    return server


def lose(server: Server) -> None:
    """Let everything in DATA_DIR be gone."""
    for path in server.data_dir.iterdir():
        path.unlink()


def interrupted(server: Server) -> Path:
    """Leave what a first start leaves that is killed before its first migration."""
    lose(server)
    database = server.data_dir / "hajimi.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert database.stat().st_size
    return database


def test_a_first_start_that_was_killed_at_once_is_begun_anew(running: Server, bucket: Path) -> None:
    running.stop()
    for path in snapshots(bucket):
        path.unlink()
    interrupted(running)

    running.start()

    assert running.chat().status_code == 200
    assert "WARNING: the database was" not in running.output
    assert not list(running.data_dir.glob("*.aside-*"))


def test_a_database_without_any_table_gives_way_to_the_newest_snapshot(running: Server) -> None:
    running.stop()
    interrupted(running)

    running.start()

    assert logged(running) == 2
    assert "WARNING: the database was missing. It is now as it was at" in running.output


def test_a_database_of_somebody_else_is_kept_aside(running: Server, bucket: Path) -> None:
    running.stop()
    for path in snapshots(bucket):
        path.unlink()
    with closing(sqlite3.connect(interrupted(running))) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")

    running.start()

    assert running.chat().status_code == 200
    [aside] = list(running.data_dir.glob("hajimi.sqlite3.aside-*Z"))
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM diary").fetchone() == (0,)
    assert f"held no tables of hajimi; it lies at {aside} now" in running.output


def test_a_copy_that_is_being_written_into_the_same_folder_is_left_alone(running: Server, bucket: Path) -> None:
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    by_hand = bucket / f".hajimi-{now}.sqlite3.0a1b2c3d.part"
    by_hand.write_bytes(b"half of it so far")

    running.stop()

    assert by_hand.read_bytes() == b"half of it so far"
    assert snapshots(bucket)


def test_copies_that_a_killed_process_left_beside_the_database_are_deleted_after_a_while(running: Server) -> None:
    then, now = (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment)) for moment in (0, time.time()))
    left, at_work = (running.data_dir / f".snapshot-{stamp}-0a1b2c3d" for stamp in (then, now))
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "copy.sqlite3").write_bytes(b"half of it so far")

    running.stop()

    assert not left.exists()
    assert (at_work / "copy.sqlite3").exists()


# A bucket's mount


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a folder like a bucket's mount: no locks, no fsync, no writing at random places."""
    library = tmp_path_factory.mktemp("library") / "without_locks.so"
    source = ROOT / "tests" / "service" / "without_locks.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@NEEDS_CC
def test_such_a_mount_is_no_place_for_a_database(tmp_path: Path, without_locks: Path) -> None:
    server = Server(tmp_path / "mount", {"LD_PRELOAD": without_locks, "WITHOUT_LOCKS": tmp_path / "mount"})

    refused = server.manage("create_member", "anna")

    assert refused.returncode != 0, "else the next test would show nothing"


@NEEDS_CC
def test_a_mount_without_locks_keeps_snapshots(serve: Serve, tmp_path: Path, without_locks: Path) -> None:
    mount = tmp_path / "mount"
    server = serve(BACKUP_DIR=mount, SECRET_KEY=SECRET, LD_PRELOAD=without_locks, WITHOUT_LOCKS=mount)
    assert server.chat().status_code == 200

    assert server.manage("backup").returncode == 0
    assert server.chat().status_code == 200
    assert server.stop() == 0
    assert len(snapshots(mount)) >= 2
    lose(server)
    server.start()

    assert logged(server) == 2
    assert server.stop() == 0
    restored = server.manage("restore", snapshots(mount)[0])
    assert restored.returncode == 0, restored.stderr
    assert "The snapshot of the database failed" not in server.output
