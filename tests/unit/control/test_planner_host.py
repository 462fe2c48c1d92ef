"""The planner's host goes on in process whenever another planner is lost, at whatever moment."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from scheduler.clock import ScaledClock
from scheduler.control.planner import Beginning, LocalPlanner, PlannerAway, PlannerHost
from scheduler.control.settings import LoopSettings
from scheduler.placement.model import CORRIDOR, Delta, Plan
from scheduler.store.database import Database


class Lost(LocalPlanner):
    """Is away from one of its methods on."""

    name = "ray"

    def __init__(self, method: str) -> None:
        super().__init__(CORRIDOR, 1)
        self._method = method

    async def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        if self._method == "load":
            raise PlannerAway("lost")
        await super().load(revision, deltas, now_ms)

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        raise PlannerAway("lost")


class Feed:
    """A store in which nothing happens."""

    async def read_feed(self, call: Callable[[Any], Beginning]) -> Beginning:
        return Beginning(7, [])


@pytest.fixture
async def host() -> AsyncIterator[PlannerHost]:
    """One that plans in process, and finds no Ray."""
    settings = LoopSettings(ray_address="127.0.0.1:1", shards=1)
    db = cast(Database, Feed())
    one = PlannerHost(settings, ScaledClock(1, 1), db, lambda _: Beginning(7, []))
    await one.start()
    await one.load()
    yield one
    await one.close()


@pytest.mark.parametrize("method", ["load", "cycle"])
async def test_one_that_is_lost_as_it_is_moved_to(host: PlannerHost, method: str) -> None:
    host._ready = Lost(method)
    assert (await host.cycle(7, (), 8)).starts == ()
    assert host.backend_name == "local"
    assert (await host.cycle(host.revision, (), 9)).starts == ()


async def test_one_that_is_lost_when_it_is_to_be_filled(host: PlannerHost) -> None:
    host._let_go(host._backend)
    host._backend = Lost("load")
    assert await host.load() == 7
    assert host.backend_name == "local"
    host._let_go(host._backend)
    host._backend = Lost("load")
    assert (await host.cycle(5, (), 7)).starts == ()  # it is behind
    assert host.backend_name == "local"
