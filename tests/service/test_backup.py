"""Snapshots: taken while hajimi runs and when it ends, checked, brought back when the database is lost or broken."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.databases import ABOUT_SQLITE
from tests.forms import logged_in, submit
from tests.gemini import FakeGemini
from tests.service.tiny_process import until
from tests.serving import NotStarted, Server, chat

pytestmark = ABOUT_SQLITE

SECRET = "a secret key that does not lie in DATA_DIR " * 2
Serve = Callable[..., Server]
CHAT = "/v1/chat/completions"


def chats(server: Server, count: int) -> None:
    for _ in range(count):
        assert server.chat().status_code == 200


def logged(server: Server) -> int:
    return int(server.rows("SELECT count(*) AS n FROM proxy_requestlog")[0]["n"])


def snapshots(folder: Path) -> list[Path]:
    return sorted(folder.glob("hajimi-*.sqlite3"))


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def running(serve: Serve, bucket: Path) -> Server:
    """A hajimi that keeps snapshots in ``bucket``."""
    return serve(BACKUP_DIR=bucket, SECRET_KEY=SECRET)


def lose(server: Server) -> None:
    """Let everything in DATA_DIR be gone, as on a Space that restarts."""
    for path in server.data_dir.iterdir():
        path.unlink()


def test_the_end_leaves_a_snapshot_and_a_lost_database_comes_back_from_it(running: Server, bucket: Path) -> None:
    chats(running, 3)
    assert running.stop() == 0
    assert snapshots(bucket)
    lose(running)

    running.start()

    assert logged(running) == 3
    assert "WARNING: the database was missing. It is now as it was at" in running.output
    assert running.chat().status_code == 200, "keys and passwords can still be read"


def test_snapshots_come_every_backup_minutes_and_the_last_few_stay(serve: Serve, bucket: Path) -> None:
    server = serve(BACKUP_DIR=bucket, SECRET_KEY=SECRET, BACKUP_MINUTES=0.02, BACKUP_KEEP=3)
    end = time.monotonic() + 30
    seen: set[Path] = set()
    while len(seen) < 6 and time.monotonic() < end:
        seen |= set(snapshots(bucket))
        time.sleep(0.2)

    server.kill()

    assert len(seen) >= 6
    assert len(snapshots(bucket)) == 3
    assert set(snapshots(bucket)) == set(sorted(seen | set(snapshots(bucket)))[-3:])


def test_a_kill_loses_at_most_what_came_after_the_last_snapshot(serve: Serve, bucket: Path) -> None:
    server = serve(BACKUP_DIR=bucket, SECRET_KEY=SECRET, BACKUP_MINUTES=0.02)
    chats(server, 2)
    time.sleep(4)
    server.kill()
    lose(server)

    server.start()

    assert logged(server) == 2


def break_database(path: Path) -> None:
    """Overwrite pages in the middle, as a bad disk does."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def rubbish(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


@pytest.mark.parametrize("damage", [break_database, rubbish])
def test_a_broken_database_is_kept_aside(running: Server, bucket: Path, damage: Callable[[Path], None]) -> None:
    chats(running, 2)
    running.stop()
    database = running.data_dir / "hajimi.sqlite3"
    damage(database)
    broken = database.read_bytes()

    running.start()

    assert logged(running) == 2
    assert "WARNING: the database was broken (" in running.output
    [aside] = [path for path in running.data_dir.glob("hajimi.sqlite3.aside-*Z") if path.is_file()]
    assert aside.read_bytes() == broken
    assert str(aside) in running.output


def test_a_broken_snapshot_is_passed_over(running: Server, bucket: Path) -> None:
    chats(running, 1)
    running.stop()
    rubbish(bucket / "hajimi-29991231T235959Z.sqlite3")
    (bucket / "hajimi-29991231T235958Z.sqlite3").write_bytes(b"")
    lose(running)

    running.start()

    assert logged(running) == 1
    assert "hajimi-29991231T235959Z.sqlite3 cannot be restored" in running.output


def test_a_broken_database_without_a_sound_snapshot_stops_the_start(running: Server, bucket: Path) -> None:
    running.stop()
    for path in snapshots(bucket):
        rubbish(path)
    rubbish(running.data_dir / "hajimi.sqlite3")

    with pytest.raises(NotStarted, match="has no sound snapshot of it"):
        running.start()

    assert "Traceback" not in running.output


def test_an_interrupted_copy_leaves_nothing_that_is_taken_for_a_snapshot(running: Server, bucket: Path) -> None:
    (bucket / ".hajimi-20200101T000000Z.sqlite3.part").write_bytes(b"half")
    (bucket / ".hajimi-20200101T000001Z.sqlite3.0a1b2c3d.part").write_bytes(b"half")

    running.stop()

    assert [path.name for path in bucket.iterdir()] == [path.name for path in snapshots(bucket)]


def test_a_first_start_with_an_empty_folder_begins_anew(running: Server) -> None:
    assert "WARNING: the database was" not in running.output
    assert running.chat().status_code == 200


def test_backup_dir_without_secret_key_warns_loudly(serve: Serve, bucket: Path) -> None:
    server = serve(BACKUP_DIR=bucket)

    assert "WARNING: BACKUP_DIR is set, but SECRET_KEY is not" in server.output
    assert "secret_key" in server.output


def test_backup_dir_without_secret_key_stops_the_start_of_a_space(
    tmp_path: Path, bucket: Path, gemini: FakeGemini
) -> None:
    server = Server(tmp_path / "data", {"BACKUP_DIR": bucket, "SPACE_ID": "me/mine", "GEMINI_BASE_URL": gemini.url})

    with pytest.raises(NotStarted, match="BACKUP_DIR is set, but SECRET_KEY is not, and this Space forgets"):
        server.start()

    assert "Traceback" not in server.output


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path, gemini: FakeGemini) -> None:
    (tmp_path / "file").write_text("")
    changes = {"BACKUP_DIR": tmp_path / "file" / "bucket", "SECRET_KEY": SECRET, "GEMINI_BASE_URL": gemini.url}

    with pytest.raises(NotStarted, match=r"BACKUP_DIR is set to .* which cannot be used"):
        Server(tmp_path / "data", changes).start()


def test_a_folder_that_goes_away_costs_only_the_snapshot(running: Server, bucket: Path) -> None:
    for path in bucket.iterdir():
        path.unlink()
    bucket.rmdir()
    bucket.write_text("no folder any more")

    assert running.chat().status_code == 200
    assert running.stop() == 0
    assert "The snapshot of the database failed" in running.output
    assert "Traceback" not in running.output


# By hand


def test_backup_and_restore_by_hand(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    chats(server, 2)

    taken = server.manage("backup", tmp_path / "mine")
    assert taken.returncode == 0, taken.stderr
    [snapshot] = snapshots(tmp_path / "mine")
    assert str(snapshot) in taken.stdout
    chats(server, 3)
    refused = server.manage("restore", snapshot)
    assert refused.returncode == 1
    assert "hajimi is running" in refused.stderr
    server.stop()
    restored = server.manage("restore", snapshot)

    assert restored.returncode == 0, restored.stderr
    assert logged(server.start()) == 2
    assert server.chat().status_code == 200


def test_without_a_name_restore_takes_the_newest(serve: Serve) -> None:
    server = serve()
    chats(server, 1)
    assert server.manage("backup").returncode == 0
    server.stop()
    lose_database(server)

    assert server.manage("restore").returncode == 0

    assert logged(server.start()) == 1


def lose_database(server: Server) -> None:
    (server.data_dir / "hajimi.sqlite3").unlink()


@pytest.mark.parametrize("words", [("restore",), ("restore", "/nowhere/at/all"), ("restore", __file__)])
def test_a_restore_that_cannot_be_says_why(serve: Serve, words: tuple[Any, ...]) -> None:
    server = serve()
    server.stop()

    refused = server.manage(*words)

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert server.start().chat().status_code == 200, "the database is as it was"


def test_a_snapshot_that_hangs_holds_up_nothing_but_itself(serve: Serve, bucket: Path) -> None:
    server = serve(BACKUP_DIR=bucket, SECRET_KEY=SECRET, BACKUP_MINUTES=0.02)
    # Whoever opens this waits, as on a mount whose other end is gone.
    lock = server.data_dir / "backup.lock"
    lock.unlink(missing_ok=True)
    os.mkfifo(lock)
    time.sleep(3)
    before = snapshots(bucket)

    chats(server, 3)
    assert snapshots(bucket) == before
    server.signal(signal.SIGTERM)

    assert server.wait(90) == 0
    assert "The last snapshot of the database is given up" in server.output


def test_a_stolen_snapshot_holds_no_sign_in_and_no_recording(running: Server, bucket: Path) -> None:
    with logged_in(running) as admin:
        submit(admin, "/admin/keys/member/add/", name="Anna", password="a-password-of-Anna-1")
        session = admin.cookies["sessionid"]
    with running.client("a-password-of-Anna-1") as anna:
        assert until(lambda: anna.post("/v1/me/recordings", json={"count": 20}).status_code == 200)
        assert until(lambda: running.chat() and anna.post(CHAT, json=chat()) and record_count(running))

    assert running.stop() == 0

    snapshot = snapshots(bucket)[-1]
    assert running.rows("SELECT * FROM django_session")
    with closing(sqlite3.connect(snapshot)) as database:
        for table in ("django_session", "proxy_recording", "proxy_recordingwish"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert session.encode() not in snapshot.read_bytes()


def record_count(server: Server) -> int:
    return len(server.rows("SELECT * FROM proxy_recording"))


def test_nobody_else_on_the_machine_reads_the_database_or_a_snapshot(running: Server, bucket: Path) -> None:
    files = [path for path in running.data_dir.iterdir() if path.name.startswith("hajimi.sqlite3")]
    assert len(files) == 3
    assert {mode_of(path) for path in files} == {0o600}
    assert running.stop() == 0
    assert {mode_of(path) for path in snapshots(bucket)} == {0o600}

    (running.data_dir / "hajimi.sqlite3").chmod(0o664)
    running.start()

    assert mode_of(running.data_dir / "hajimi.sqlite3") == 0o660


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_before_there_is_a_database_a_backup_says_so(tmp_path: Path) -> None:
    told = Server(tmp_path / "data").manage("backup")

    assert (told.returncode, "No snapshot was taken: there is no database" in told.stderr) == (1, True)
