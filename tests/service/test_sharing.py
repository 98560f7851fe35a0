"""What processes share over Redis besides the ledger: thought signatures, and the news that settings have moved."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from hajimi_site.news import News
from hajimi_site.shelf import KEPT_SECONDS, LONGEST, Shelf
from keys.ledger.redis import channel_of
from proxy.models import Revision
from proxy.runtime import RuntimeHolder
from tests.databases import database, in_thread, until
from tests.redises import ON_REDIS, OWN_REDIS, REDIS_URL, OwnRedis, forget, fresh_prefix, line_to, own_redis

SIGNATURE = "a thought signature of Google's, as long as they are" * 4


@pytest.fixture
def prefix() -> Iterator[str]:
    """Names of this test's own; nothing of it stays."""
    name = fresh_prefix()
    yield name
    if REDIS_URL:
        forget(REDIS_URL, name)


# The shelf


async def put(shelf: Shelf, call_id: str, signature: str) -> None:
    """Lay a signature down, and wait until it lies there: a line keeps the order of its calls."""
    shelf.put(call_id, signature)
    await shelf.find(["anything"])


@ON_REDIS
async def test_what_one_process_lays_down_another_one_finds(prefix: str) -> None:
    async with line_to(REDIS_URL, prefix) as one, line_to(REDIS_URL, prefix) as other:
        await put(Shelf(one, prefix), "call-1", SIGNATURE)
        await put(Shelf(one, prefix), "call-2", "another one")

        found = await Shelf(other, prefix).find(["call-2", "never heard of", "call-1"])

    assert found == {"call-1": SIGNATURE, "call-2": "another one"}


@ON_REDIS
async def test_installations_that_share_a_redis_do_not_read_each_others_shelf(prefix: str) -> None:
    async with line_to(REDIS_URL, prefix) as line:
        await put(Shelf(line, prefix), "call-1", SIGNATURE)

        assert await Shelf(line, f"{prefix}-next-door").find(["call-1"]) == {}


@ON_REDIS
async def test_a_signature_lies_there_encrypted_and_for_an_hour(prefix: str) -> None:
    async with line_to(REDIS_URL, prefix) as line:
        await put(Shelf(line, prefix), "call-1", SIGNATURE)

    with contextlib.closing(redis.Redis.from_url(REDIS_URL)) as client:
        [name] = client.scan_iter(f"{prefix}*", count=1000)
        assert SIGNATURE.encode() not in client.get(name)
        assert 0 < client.ttl(name) <= KEPT_SECONDS


@ON_REDIS
async def test_a_signature_that_is_too_long_is_left_to_the_database(prefix: str) -> None:
    async with line_to(REDIS_URL, prefix) as line:
        shelf = Shelf(line, prefix)
        await put(shelf, "long", "x" * LONGEST)
        await put(shelf, "too long", "x" * (LONGEST + 1))

        assert list(await shelf.find(["long", "too long"])) == ["long"]


@ON_REDIS
@pytest.mark.parametrize("rubbish", [b"not encrypted at all", b"\xff\xfe"])
async def test_what_cannot_be_read_counts_as_not_there(prefix: str, rubbish: bytes) -> None:
    async with line_to(REDIS_URL, prefix) as line:
        shelf = Shelf(line, prefix)
        await put(shelf, "good", SIGNATURE)
        with contextlib.closing(redis.Redis.from_url(REDIS_URL)) as client:
            client.set(f"{prefix}:signature:bad", rubbish)

        assert await shelf.find(["bad", "good"]) == {"good": SIGNATURE}


@OWN_REDIS
async def test_without_redis_the_shelf_is_empty(tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis") as server:
        async with line_to(server.url, "hajimi") as line:
            shelf = Shelf(line, "hajimi")
            await put(shelf, "call-1", SIGNATURE)
            server.kill()

            shelf.put("call-2", SIGNATURE)

            assert await shelf.find(["call-1", "call-2"]) == {}


# The news


class Ears:
    """What one process has heard, each as the kind and its words."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def listener(self, kind: str) -> Callable[..., None]:
        return lambda *words: self.heard.append((kind, *words))


@asynccontextmanager
async def process(url: str, prefix: str, ears: Ears) -> AsyncIterator[News]:
    """A process that tells and hears; it listens when this begins."""
    async with line_to(url, prefix) as line:
        news = News(line, prefix, {kind: ears.listener(kind) for kind in ("revision", "guess")})
        listening = asyncio.create_task(news.listen())
        try:
            # Whoever begins to listen has missed what came before.
            await until(lambda: ("revision",) in ears.heard)
            ears.heard.clear()
            yield news
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@ON_REDIS
async def test_the_others_hear_that_settings_have_moved_and_who_told_it_does_not(prefix: str) -> None:
    ours, theirs = Ears(), Ears()
    async with process(REDIS_URL, prefix, ours) as one, process(REDIS_URL, prefix, theirs) as other:
        one.tell("revision")
        one.tell("guess", "10.0.0.1", 3)
        await until(lambda: len(theirs.heard) == 2)
        other.tell("guess", "10.0.0.2", 1)
        await until(lambda: bool(ours.heard))

    assert theirs.heard == [("revision",), ("guess", "10.0.0.1", 3)]
    assert ours.heard == [("guess", "10.0.0.2", 1)]


@ON_REDIS
async def test_news_that_nobody_understands_is_passed_over(prefix: str) -> None:
    ears, teller = Ears(), Ears()
    async with process(REDIS_URL, prefix, ears), process(REDIS_URL, prefix, teller) as one:
        with contextlib.closing(redis.Redis.from_url(REDIS_URL)) as client:
            for message in (
                b"not JSON",
                b"7",
                b"[]",
                b'["them", "of a later version", 1]',
                b'["them", "revision", 1, 2]',
            ):
                client.publish(channel_of(prefix), message)
        one.tell("guess", "10.0.0.1", 3)
        await until(lambda: ("guess", "10.0.0.1", 3) in ears.heard)


@OWN_REDIS
async def test_after_an_interruption_everything_may_have_moved(tmp_path: Path) -> None:
    ears = Ears()
    with own_redis(tmp_path / "redis") as server:
        async with process(server.url, "hajimi", ears) as news:
            restart(server)
            news.tell("revision")

            await until(lambda: ("revision",) in ears.heard, 20)


def restart(server: OwnRedis) -> None:
    server.kill()
    server.start()


@pytest.fixture
def data(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    """A database of this test's own."""
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        yield


@ON_REDIS
@pytest.mark.usefixtures("data")
async def test_a_change_by_another_process_is_read_at_its_news_not_at_the_next_poll(prefix: str) -> None:
    holder = RuntimeHolder(poll_seconds=3600)
    await holder.start()
    before = holder.current.revision
    async with line_to(REDIS_URL, prefix) as line, process(REDIS_URL, prefix, Ears()) as other:
        listening = asyncio.create_task(News(line, prefix, {"revision": holder.wake}).listen())
        watching = asyncio.create_task(holder.watch(lambda _: None))
        # As another process does: it moves the number and tells of it.
        await in_thread(lambda: Revision.objects.update(number=before + 1))
        async with asyncio.timeout(20):
            while holder.current.revision == before:
                other.tell("revision")
                await asyncio.sleep(0.05)
        for task in (listening, watching):
            task.cancel()
        await asyncio.gather(listening, watching, return_exceptions=True)
    # A last read must not reach into the next test's database.
    await asyncio.to_thread(holder._thread.shutdown)

    assert holder.current.revision == before + 1
