"""The database goes away in every way it can: answers still come, in bounded time, and everything is written later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from proxy import request_id
from proxy.journal import PATIENCE_SECONDS
from tests.databases import ABOUT_SQLITE, locked
from tests.gemini import FakeGemini, answer
from tests.own_postgres import NEEDS_OWN_POSTGRES, OwnPostgres
from tests.service.test_kill import check_usage
from tests.service.test_metrics import numbers
from tests.serving import Server, chat

AT_ONCE = 20
# Longer than the journal's patience, with some leave for a busy machine.
LONGEST_ANSWER = 15.0
Serve = Callable[..., Server]


async def ask(server: Server, count: int) -> list[httpx.Response]:
    """Send chats, some at a time, half of them streamed; each must be done in time."""
    numbers = iter(range(count))
    told: list[httpx.Response] = []

    async def one_after_another(client: httpx.AsyncClient) -> None:
        for number in numbers:
            began = time.monotonic()
            told.append(await client.post("/v1/chat/completions", json=chat(stream=number % 2 == 0)))
            assert time.monotonic() - began < LONGEST_ANSWER

    async with server.async_client() as client:
        await asyncio.gather(*(one_after_another(client) for _ in range(AT_ONCE)))
    return told


def is_logged(server: Server, told: list[httpx.Response]) -> bool:
    ids = {request_id.parse(response.headers["x-request-id"]) for response in told}
    return ids <= {row["id"] for row in server.rows("SELECT id FROM proxy_requestlog")}


def readiness(server: Server) -> tuple[int, str]:
    with server.client() as client:
        ready = client.get("/readyz")
    return ready.status_code, ready.json().get("reason", "")


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)


async def check_all_is_written(server: Server, told: list[httpx.Response]) -> None:
    assert {response.status_code for response in told} == {200}
    await until(lambda: is_logged(server, told))
    check_usage(server)


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    with OwnPostgres() as server:
        yield server


@pytest.fixture
def on_postgres(serve: Serve, gemini: FakeGemini, postgres: OwnPostgres) -> Server:
    gemini.always(answer("one two three"))
    return serve(DATABASE_URL=postgres.url)


@NEEDS_OWN_POSTGRES
async def test_postgresql_crashes_and_comes_back(on_postgres: Server, postgres: OwnPostgres) -> None:
    told = await ask(on_postgres, 20)
    postgres.stop()
    told += await ask(on_postgres, 60)
    ready = readiness(on_postgres)
    assert ready == (503, "the database does not answer")
    postgres.start()
    told += await ask(on_postgres, 20)

    await check_all_is_written(on_postgres, told)


@NEEDS_OWN_POSTGRES
async def test_postgresql_restarts_again_and_again_under_load(on_postgres: Server, postgres: OwnPostgres) -> None:
    async def restart() -> None:
        for mode in ("fast", "immediate", "fast"):
            await asyncio.to_thread(postgres.stop, mode)
            await asyncio.to_thread(postgres.start)
            await asyncio.sleep(0.5)

    told, _ = await asyncio.gather(ask(on_postgres, 300), restart())

    await check_all_is_written(on_postgres, told)


@NEEDS_OWN_POSTGRES
async def test_postgresql_takes_no_writes_for_a_while(on_postgres: Server, postgres: OwnPostgres) -> None:
    def read_only(is_so: str) -> None:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {is_so}")
            connection.execute("SELECT pg_reload_conf()")

    told = await ask(on_postgres, 10)
    read_only("on")
    time.sleep(0.5)
    told += await ask(on_postgres, 30)
    assert not is_logged(on_postgres, told)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = off")
        connection.execute("SELECT pg_reload_conf()")

    await check_all_is_written(on_postgres, told)


@NEEDS_OWN_POSTGRES
async def test_postgresql_hangs_without_a_word(on_postgres: Server, postgres: OwnPostgres) -> None:
    told = await ask(on_postgres, 10)
    postgres.signal(signal.SIGSTOP)
    try:
        told += await ask(on_postgres, 40)
    finally:
        postgres.signal(signal.SIGCONT)

    await check_all_is_written(on_postgres, told)


@NEEDS_OWN_POSTGRES
async def test_hajimi_ends_in_time_while_postgresql_is_away(on_postgres: Server, postgres: OwnPostgres) -> None:
    postgres.stop()
    await ask(on_postgres, 5)
    began = time.monotonic()

    on_postgres.stop(seconds=40)

    # Its own last word (hajimi_site.server) comes after 40 s.
    assert time.monotonic() - began < 35
    assert "The journal ends with 5 entries unwritten: the database is away." in on_postgres.output
    assert "Traceback" not in on_postgres.output


@ABOUT_SQLITE
async def test_a_full_queue_refuses_new_requests_and_keeps_what_it_promised(serve: Serve, gemini: FakeGemini) -> None:
    server = serve(JOURNAL_LIMIT=5)
    with locked(server.data_dir / "hajimi.sqlite3"):
        told = await ask(server, 40)
        ready = readiness(server)
    answered, refused = split(told)

    # Those that had begun before the queue was full are kept, too.
    assert 5 <= len(answered) <= 5 + AT_ONCE
    assert len(gemini.generated) == len(answered)
    check_refused(refused)
    assert ready == (503, "the journal is full")
    await check_all_is_written(server, answered)
    assert server.chat().status_code == 200


@ABOUT_SQLITE
async def test_a_full_queue_grows_no_further_and_its_refusals_come_at_once(serve: Serve, gemini: FakeGemini) -> None:
    server = serve(JOURNAL_LIMIT=5)
    # From then on the admin's password is known without asking the database.
    numbers(server)
    with locked(server.data_dir / "hajimi.sqlite3"):
        answered, _ = split(await ask(server, 40))
        began = time.monotonic()
        refused = await ask(server, 100)
        took = time.monotonic() - began
        meanwhile = numbers(server)

    check_refused(refused)
    # Five rounds of twenty: each would wait two seconds for a row of its own.
    assert took < 5 * PATIENCE_SECONDS
    assert meanwhile["hajimi_journal_depth", ""] == len(answered) <= 5 + AT_ONCE
    assert meanwhile["hajimi_journal_entries_total", "skipped"] >= 100
    await check_all_is_written(server, answered)
    assert server.chat().status_code == 200


@ABOUT_SQLITE
async def test_who_is_over_a_limit_is_told_at_once_while_the_database_is_away(serve: Serve) -> None:
    server = serve(MAX_REQUESTS_PER_MINUTE=5)
    with locked(server.data_dir / "hajimi.sqlite3"):
        await ask(server, 20)
        began = time.monotonic()
        told = await ask(server, 100)
        took = time.monotonic() - began

    assert {response.status_code for response in told} == {429}
    assert took < 5 * PATIENCE_SECONDS
    # There was room: each of them has its row.
    await until(lambda: is_logged(server, told))


@contextmanager
def small_disk(folder: Path, size: str = "6m") -> Iterator[Path]:
    """Mount a small file system of its own at ``folder``."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@ABOUT_SQLITE
@pytest.mark.skipif(not can_mount(), reason="mounting a small disk takes root")
async def test_a_full_disk_is_waited_out(gemini: FakeGemini, tmp_path: Path) -> None:
    gemini.always(answer("one two three"))
    with small_disk(tmp_path / "data") as folder:
        server = Server(folder, {"GEMINI_BASE_URL": gemini.url}).start()
        try:
            told = await ask(server, 10)
            filler = folder / "filler"
            fill(filler)
            told += await ask(server, 60)
            assert "The database is away (OperationalError: database or disk is full)" in server.output
            filler.unlink()
            told += await ask(server, 10)

            await check_all_is_written(server, told)
            assert server.stop() == 0
        finally:
            server.kill()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Put a view of ``folder`` that takes no writes over it, for all who open a file from now on."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def no_file_may_grow(pid: int) -> Iterator[None]:
    """Let every write of a process that runs fail, also to files that it has open."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def split(told: list[httpx.Response]) -> tuple[list[httpx.Response], list[httpx.Response]]:
    """Return those that were answered, and the others."""
    return [one for one in told if one.status_code == 200], [one for one in told if one.status_code != 200]


def check_refused(refused: list[httpx.Response]) -> None:
    assert {response.status_code for response in refused} == {503}
    for response in refused:
        assert "The database of this server is away" in response.json()["error"]["message"]
        assert int(response.headers["retry-after"]) >= 1


@ABOUT_SQLITE
async def test_a_disk_that_fails_every_write_is_waited_out_and_counted(serve: Serve) -> None:
    server = serve(JOURNAL_LIMIT=5)
    told = await ask(server, 10)
    before = numbers(server)
    with no_file_may_grow(server.pid):
        told += await ask(server, 40)
        meanwhile = numbers(server)
        ready = readiness(server)
    answered, refused = split(told)

    check_refused(refused)
    assert 15 <= len(answered) <= 15 + AT_ONCE
    assert "The database is away (OperationalError: disk I/O error)" in server.output
    assert ready == (503, "the journal is full")
    assert before["hajimi_journal_depth", ""] == 0
    assert meanwhile["hajimi_journal_depth", ""] >= 5
    assert meanwhile["hajimi_journal_entries_total", "late"] >= 5
    assert meanwhile["hajimi_refusals_total", "not_ready"] == len(refused)
    await check_all_is_written(server, answered)
    after = numbers(server)
    assert (after["hajimi_journal_depth", ""], after["hajimi_journal_entries_total", "lost"]) == (0, 0)
    assert server.stop() == 0


@ABOUT_SQLITE
@pytest.mark.skipif(not can_mount(), reason="making a folder read-only under a program takes root")
async def test_a_disk_that_has_become_read_only_is_waited_out(serve: Serve) -> None:
    server = serve(JOURNAL_LIMIT=5)
    told = await ask(server, 10)
    with read_only(server.data_dir):
        # What is open stays writable; a first failure makes the journal open the file anew.
        with no_file_may_grow(server.pid):
            told += await ask(server, 1)
        told += await ask(server, 40)
        assert not is_logged(server, split(told)[0])
        ready = readiness(server)
    answered, refused = split(told)

    check_refused(refused)
    assert 15 <= len(answered) <= 16 + AT_ONCE
    assert ready == (503, "the journal is full")
    await check_all_is_written(server, answered)
    assert server.chat().status_code == 200
    assert server.stop() == 0


def fill(path: Path) -> None:
    """Write until the disk is full."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(handle, b"x" * size)
    finally:
        os.close(handle)
