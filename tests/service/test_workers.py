"""Many processes on one machine: what they count together, and that no client notices when one of them goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from proxy import request_id
from tests.databases import ON_POSTGRES, fresh_postgres_url
from tests.gemini import FakeGemini, answer
from tests.redises import ON_REDIS, REDIS_URL, forget, fresh_prefix
from tests.serving import NotStarted, Server, chat, events_of, text_of

Start = Callable[..., Server]
# The servers that can go in peace.
ROLLING = ("daphne", "uvicorn")


@pytest.fixture
def start(gemini: FakeGemini, tmp_path: Path) -> Iterator[Start]:
    """Start hajimi with names in Redis of this test's own; each ``place`` is a machine with a DATA_DIR of its own."""
    prefix, servers = fresh_prefix(), []

    def begin(place: str = "data", **environment: object) -> Server:
        shared = {"REDIS_URL": REDIS_URL, "REDIS_PREFIX": prefix}
        server = Server(tmp_path / place, {"GEMINI_BASE_URL": gemini.url, **shared, **environment})
        servers.append(server)
        return server.start(seconds=60)

    yield begin
    for server in servers:
        end(server)
    forget(REDIS_URL, prefix)


def end(server: Server) -> None:
    """End a server and its workers."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for pid in children(server):
            os.kill(pid, signal.SIGKILL)
    server.kill()


def children(server: Server) -> list[int]:
    """Return the process numbers of its workers."""
    return [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def at_once(urls: list[str], count: int, server: Server) -> Counter[int]:
    """Send that many chats in parallel, each on a connection of its own."""
    async with server.async_client(base_url="", limits=httpx.Limits(max_connections=count)) as client:
        posts = [client.post(f"{urls[n % len(urls)]}/v1/chat/completions", json=chat()) for n in range(count)]
        return Counter(response.status_code for response in await asyncio.gather(*posts))


def test_more_than_one_process_without_redis_refuse_to_start_and_say_why(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", {"WORKERS": 2})

    with pytest.raises(NotStarted) as refused:
        server.start()

    [line] = str(refused.value).splitlines()
    assert line.startswith("hajimi cannot start: WORKERS is set to 2, but REDIS_URL is not set")


@ON_REDIS
async def test_sixty_at_once_over_three_processes_against_ten_are_granted_ten(gemini: FakeGemini, start: Start) -> None:
    gemini.always(answer("pong", before=0.1))
    server = start(WORKERS=3, MAX_REQUESTS_PER_MINUTE=10)

    assert await at_once([server.base_url], 60, server) == {200: 10, 429: 50}

    assert len(gemini.generated) == 10
    [logged] = server.rows("SELECT count(*) number FROM proxy_requestlog WHERE outcome = 'answered'")
    assert logged["number"] == 10
    server.restart()
    assert await at_once([server.base_url], 5, server) == {429: 5}


@ON_REDIS
@ON_POSTGRES
def test_three_machines_with_one_database_and_one_redis_count_together(gemini: FakeGemini, start: Start) -> None:
    gemini.always(answer("pong", before=0.1))
    shared = {
        "DATABASE_URL": fresh_postgres_url(migrated=False),
        "SECRET_KEY": "of all machines",
        "MAX_REQUESTS_PER_MINUTE": 1000,
    }
    machines = [start(f"machine{n}", API_KEY_DAILY_LIMIT=7, **shared) for n in range(3)]

    # Three keys of seven a day: the keys' days are exact as well.
    statuses = asyncio.run(at_once([machine.base_url for machine in machines], 60, machines[0]))

    assert statuses == {200: 21, 429: 39}
    assert Counter(call.key for call in gemini.generated).most_common() == [(key, 7) for key in _keys(gemini)]
    [logged] = machines[0].rows("SELECT count(*) number FROM proxy_requestlog WHERE outcome = 'answered'")
    assert logged["number"] == 21


def _keys(gemini: FakeGemini) -> list[str]:
    return list(Counter(call.key for call in gemini.generated))


@ON_REDIS
def test_a_worker_that_dies_is_replaced(start: Start) -> None:
    server = start(WORKERS=2)
    [first, second] = children(server)

    os.kill(first, signal.SIGKILL)

    until(lambda: len(set(children(server)) - {first, second}) == 1)
    until(lambda: "serves again" in server.output)
    assert f"(pid {first}) ended by itself (signal 9)" in server.output
    assert [server.chat().status_code for _ in range(10)] == [200] * 10
    assert server.stop() == 0


@ON_REDIS
def test_the_pauses_grow_while_a_worker_dies_again_and_again(start: Start) -> None:
    server = start(WORKERS=2)
    victim = children(server)[0]

    for pause in ("0.5", "1", "2"):
        os.kill(victim, signal.SIGKILL)
        until(lambda pause=pause: f"another one starts in {pause} s" in server.output)
        before = set(children(server))
        until(lambda before=before: set(children(server)) - before)
        [victim] = set(children(server)) - before

    assert server.chat().status_code == 200


@ON_REDIS
@pytest.mark.parametrize("name", ROLLING)
def test_replacing_all_processes_refuses_no_request_and_cuts_no_answer(
    gemini: FakeGemini, start: Start, name: str
) -> None:
    gemini.always(answer("one two three", delay=0.01))
    server = start(WORKERS=2, FAKE_STREAMING=False, SERVER=name)
    before = set(children(server))
    stop, statuses, faults = threading.Event(), Counter[int](), []

    def ask() -> None:
        # Connections are kept, as a client's are: a request may come at any moment of a process's retirement.
        with server.client() as client:
            while not stop.is_set():
                try:
                    statuses[client.post("/v1/chat/completions", json=chat()).status_code] += 1
                except httpx.HTTPError as error:
                    faults.append(error)

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    try:
        gemini.wait_until(lambda: len(gemini.generated) > 50)
        for _ in range(2):
            rolled = server.output.count("All processes are new")
            server.signal(signal.SIGHUP)
            until(lambda rolled=rolled: server.output.count("All processes are new") > rolled, 60)
    finally:
        stop.set()
        for client in clients:
            client.join()

    assert faults == []
    assert set(statuses) == {200}
    until(lambda: len(children(server)) == 2)
    assert not before & set(children(server))
    assert server.stop() == 0


@ON_REDIS
@pytest.mark.parametrize("name", ROLLING)
def test_an_answer_that_is_under_way_outlives_its_retired_process(gemini: FakeGemini, start: Start, name: str) -> None:
    # Longer than a whole replacement and uvicorn's own patience, DRAIN_SECONDS and a farewell of 6 s, after it.
    gemini.always(answer("one two three four five six", delay=2.5))
    server = start(WORKERS=2, FAKE_STREAMING=False, DRAIN_SECONDS=0, SERVER=name)

    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as response:
        pieces = response.iter_text()
        heard = next(pieces)
        server.signal(signal.SIGHUP)
        until(lambda: "All processes are new" in server.output)
        heard += "".join(pieces)

    assert text_of(events_of(heard)) == "one two three four five six"
    assert heard.endswith("data: [DONE]\n\n")


@ON_REDIS
def test_what_a_start_has_to_tell_is_told_again_when_processes_are_replaced(start: Start) -> None:
    server = start(WORKERS=2, PASSWORD="")
    assert server.output.count("WARNING: PASSWORD is unset") == 1

    server.signal(signal.SIGHUP)

    until(lambda: "All processes are new" in server.output, 60)
    assert server.output.count("WARNING: PASSWORD is unset") == 2


@ON_REDIS
def test_granian_says_that_it_cannot_replace_its_processes_and_goes_on(start: Start) -> None:
    server = start(WORKERS=2, SERVER="granian")
    before = children(server)

    server.signal(signal.SIGHUP)

    until(lambda: "SERVER=granian cannot replace its processes without refusing requests" in server.output)
    assert server.chat().status_code == 200
    assert children(server) == before


@ON_REDIS
def test_sigterm_lets_the_answers_of_all_processes_finish(gemini: FakeGemini, start: Start) -> None:
    gemini.always(answer("one two three", before=1.5))
    server = start(WORKERS=3, DRAIN_SECONDS=10)
    workers = children(server)

    statuses = _stopped_meanwhile(server, gemini, 9)

    assert statuses == {200: 9}
    assert not any(map(is_alive, workers))
    [logged] = server.rows("SELECT count(*) number FROM proxy_requestlog WHERE outcome = 'answered'")
    assert logged["number"] == 9


@ON_REDIS
def test_after_the_patience_all_processes_end_their_answers_in_words(gemini: FakeGemini, start: Start) -> None:
    gemini.always(answer("one two three", before=60))
    server = start(WORKERS=3, DRAIN_SECONDS=0.5)

    assert _stopped_meanwhile(server, gemini, 9) == {503: 9}


def _stopped_meanwhile(server: Server, gemini: FakeGemini, count: int) -> Counter[int]:
    """Ask in parallel, stop the server when all have reached Gemini, and return what came."""
    heard = Counter[int]()

    def ask() -> None:
        heard[server.chat().status_code] += 1

    clients = [threading.Thread(target=ask) for _ in range(count)]
    for client in clients:
        client.start()
    gemini.wait_until(lambda: len(gemini.generated) == count)
    assert server.stop() == 0
    for client in clients:
        client.join()
    return heard


@ON_REDIS
def test_workers_end_when_their_supervisor_is_killed(start: Start) -> None:
    server = start(WORKERS=2, DRAIN_SECONDS=0)
    workers = children(server)

    server.kill()

    until(lambda: not any(map(is_alive, workers)))


@ON_REDIS
async def test_what_was_acknowledged_is_recorded_when_everything_is_killed_in_the_middle_of_the_drain(
    gemini: FakeGemini, start: Start
) -> None:
    gemini.always(answer("one two three", delay=0.005))
    server = start(WORKERS=3, FAKE_STREAMING=False, DRAIN_SECONDS=30)
    workers, acknowledged = children(server), []

    async def talk(client: httpx.AsyncClient) -> None:
        with contextlib.suppress(httpx.TransportError):
            for _ in range(100):
                response = await client.post("/v1/chat/completions", json=chat(stream=True))
                if response.text.endswith("data: [DONE]\n\n") and "error" not in response.text:
                    acknowledged.append(response.headers["x-request-id"])

    async def kill_in_the_drain() -> None:
        while len(acknowledged) < 40:
            await asyncio.sleep(0.01)
        server.signal(signal.SIGTERM)
        await asyncio.sleep(0.15)
        # As Docker does after its grace: everything at once.
        for pid in filter(is_alive, (server.pid, *workers)):
            os.kill(pid, signal.SIGKILL)

    async with server.async_client() as client:
        await asyncio.gather(kill_in_the_drain(), *(talk(client) for _ in range(12)))

    server.wait()
    logged = {row["id"] for row in server.rows("SELECT id FROM proxy_requestlog WHERE outcome = 'answered'")}
    assert {request_id.parse(shown) for shown in acknowledged} <= logged


@ON_REDIS
async def test_guesses_are_counted_over_all_processes(start: Start) -> None:
    server = start(WORKERS=3)

    async with server.async_client("wrong", limits=httpx.Limits(max_keepalive_connections=0)) as client:
        statuses = [(await client.get("/v1/models")).status_code for _ in range(25)]

    assert set(statuses[:9]) == {401}
    # News needs a moment; three processes that each counted for themselves would let 27 through.
    assert 429 in statuses[:18]


@ON_REDIS
async def test_a_key_that_google_refuses_is_out_for_all_processes_at_once(gemini: FakeGemini, start: Start) -> None:
    server = start(WORKERS=3)
    gemini.replies(403)

    async with server.async_client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200
        [dead] = [call.key for call in gemini.generated if call.status == 403]
        await asyncio.sleep(1.0)
        for _ in range(30):
            await client.post("/v1/chat/completions", json=chat())

    assert [call.key for call in gemini.generated].count(dead) == 1


@ON_REDIS
def test_one_process_asks_google_for_its_models(gemini: FakeGemini, start: Start) -> None:
    server = start(WORKERS=3)

    until(lambda: server.rows("SELECT name FROM proxy_upstreammodel"))
    time.sleep(1.0)

    asked = [call for call in gemini.calls if call.path.endswith("/models")]
    assert len(asked) == 3, "one question for each of three keys"
