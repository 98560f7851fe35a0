"""One snapshot a second for all who watch, and nothing at all while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from channels.layers import InMemoryChannelLayer
from django.db import OperationalError

from proxy.dashboard.hub import Hub, Rhythm
from proxy.dashboard.neighbours import FRESH_SECONDS, Neighbours
from proxy.dashboard.parts import Part
from proxy.dashboard.reading import Reading
from proxy.dashboard.snapshot import PoolPicture
from proxy.live import Live
from tests.unit.test_live import NOW, Request


class Viewer:
    language = "en"

    def __init__(self, session_key: str = "session", *, breaks: bool = False) -> None:
        self.session_key = session_key
        self.snapshots: list[Any] = []
        self.dismissed = 0
        self._breaks = breaks

    async def show(self, snapshot: bytes) -> None:
        if self._breaks and self.snapshots:
            raise RuntimeError("gone")
        self.snapshots.append(orjson.loads(snapshot))

    async def dismiss(self) -> None:
        self.dismissed += 1


class World:
    """A house of which only the counters are real, and a database that answers at once."""

    def __init__(self, layer: InMemoryChannelLayer | None = None) -> None:
        self.live = Live(NOW)
        self.allowed = {"session"}
        self.hours_read = 0
        self.is_away = False
        runtime = SimpleNamespace(keys=(), models={"only": None}, behaviour=SimpleNamespace(extra_models=()))
        house = SimpleNamespace(
            live=self.live,
            relay=SimpleNamespace(breaker=SimpleNamespace(outages=lambda now: [])),
            journal=SimpleNamespace(depth=0),
            runtime=SimpleNamespace(current=runtime),
            pool=SimpleNamespace(standings=lambda now: []),
        )
        quick = Rhythm(tick=0.01, read=0.02, check=0.0, poll=0.05)
        self.hub = Hub(cast(Any, house), layer=layer, rhythm=quick, look=self._look, allowed=self._allowed)

    def _look(self, now: float, keys: Any, part: Any, models: Any, history: Any) -> Any:
        if self.is_away:
            raise OperationalError
        self.hours_read += history is None
        return Reading(members=({"name": "Ann"},)), PoolPicture(), history or ([], int(now // 60))

    async def _allowed(self, keys: Collection[str]) -> set[str]:
        if self.is_away:
            raise OperationalError
        return set(keys) & self.allowed


@pytest.fixture
def world() -> World:
    return World()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("dashboard")]


async def test_all_viewers_see_the_same_snapshots_until_they_leave(world: World) -> None:
    first, second = Viewer(), Viewer()
    await world.hub.join(first)
    await world.hub.join(second)
    world.live.begin(1, Request())

    await until(lambda: bool(second.snapshots[-1]["running"]) and bool(first.snapshots[-1]["running"]))

    # Each begins with one of its own.
    moments = {snapshot["now"] for snapshot in first.snapshots}
    assert {snapshot["now"] for snapshot in second.snapshots[1:]} <= moments
    world.hub.leave(first)
    seen = len(first.snapshots)
    count = len(second.snapshots)
    await until(lambda: len(second.snapshots) > count + 2)
    assert len(first.snapshots) == seen
    await world.hub.stop()


async def test_while_nobody_looks_nothing_runs(world: World) -> None:
    assert tasks() == []
    viewer = Viewer()
    await world.hub.join(viewer)
    assert "dashboard" in tasks()

    world.hub.leave(viewer)

    await until(lambda: not tasks())
    assert not world.hub.is_watched


async def test_the_last_hour_is_read_once_each_time_somebody_begins_to_watch(world: World) -> None:
    for hours in (1, 2):
        viewer, other = Viewer(), Viewer()
        await world.hub.join(viewer)
        await world.hub.join(other)
        await until(lambda: len(viewer.snapshots) > 3)  # noqa: B023 - asked at once
        assert world.hours_read == hours
        world.hub.leave(viewer)
        world.hub.leave(other)
        await until(lambda: not tasks())


async def test_the_first_snapshot_has_what_the_database_knows(world: World) -> None:
    viewer = Viewer()

    await world.hub.join(viewer)

    assert viewer.snapshots[0]["members"] == [{"name": "Ann"}]
    await world.hub.stop()


async def test_whoever_may_not_watch_any_more_is_dismissed_and_the_others_stay(world: World) -> None:
    world.allowed.add("other")
    stays, goes = Viewer(), Viewer("other")
    await world.hub.join(stays)
    await world.hub.join(goes)

    world.allowed.discard("other")

    await until(lambda: goes.dismissed == 1)
    seen, count = len(goes.snapshots), len(stays.snapshots)
    await until(lambda: len(stays.snapshots) > count + 2)
    assert (len(goes.snapshots), goes.dismissed) == (seen, 1)
    await world.hub.stop()


async def test_while_the_database_is_away_the_viewers_see_on_and_it_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    viewer = Viewer()
    await world.hub.join(viewer)

    world.is_away = True
    world.live.begin(1, Request())
    await until(lambda: viewer.snapshots[-1]["in_flight"] == 1)
    await asyncio.sleep(0.2)

    assert (viewer.dismissed, len(viewer.snapshots) > 5) == (0, True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    world.is_away = False
    world.allowed.clear()
    await until(lambda: viewer.dismissed == 1)
    await world.hub.stop()


async def test_a_viewer_whose_connection_breaks_costs_the_others_nothing(world: World) -> None:
    broken, whole = Viewer(breaks=True), Viewer()
    await world.hub.join(broken)
    await world.hub.join(whole)

    await until(lambda: len(whole.snapshots) > 4)

    assert len(broken.snapshots) == 1
    await world.hub.stop()


async def test_a_page_that_asks_is_a_viewer_for_a_moment(world: World) -> None:
    snapshot = orjson.loads(await world.hub.latest("en"))

    assert snapshot["in_flight"] == 0
    assert world.hub.is_watched
    await until(lambda: not tasks())
    assert not world.hub.is_watched


async def test_other_processes_tell_their_part_while_somebody_watches() -> None:
    layer = InMemoryChannelLayer()
    watched, other = World(layer), World(layer)
    for world in (watched, other):
        world.hub.start()
    other.live.begin(1, Request(member="Ben"))
    watched.live.begin(2, Request(member="Ann"))
    viewer = Viewer()

    await watched.hub.join(viewer)
    await until(lambda: viewer.snapshots[-1]["in_flight"] == 2)

    assert {row["member"] for row in viewer.snapshots[-1]["running"]} == {"Ann", "Ben"}
    assert viewer.snapshots[-1]["processes"] == 2
    other.live.leave(1)
    await until(lambda: viewer.snapshots[-1]["in_flight"] == 1)
    assert not other.hub.is_watched
    for world in (watched, other):
        await world.hub.stop()


async def test_a_process_that_has_ended_is_forgotten() -> None:
    layer, moment = InMemoryChannelLayer(), [0.0]
    one, other = (Neighbours(layer, Part, now=lambda: moment[0]) for _ in range(2))
    tasks = [asyncio.create_task(each.listen()) for each in (one, other)]
    async with asyncio.timeout(10):
        while not one.parts():
            await one.ask()
            await asyncio.sleep(0.005)

    moment[0] += FRESH_SECONDS

    assert one.parts() == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
