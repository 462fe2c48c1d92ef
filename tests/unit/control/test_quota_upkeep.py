"""What the leader keeps of the quota book: capacity as centers report it, changes that are due."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import CenterDescription
from adapters.errors import Unavailable
from scheduler.control.capacity_watch import CapacityWatch
from scheduler.control.settings import LoopSettings
from scheduler.domain.reasons import ReasonCode
from scheduler.store import budget_moves, budgets, pools, quotas_dated, stops
from scheduler.store.budgets import Place
from scheduler.store.leader import Fenced, take_over
from scheduler.store.quotas import Change, CityLimits
from scheduler.store.quotas_dated import Order
from tests.simulation import world as worlds
from tests.simulation.scene import Scene
from tests.simulation.world import CPU, NPU, OPERATOR, job


class Shrinking:
    """A center that says it has so many units of its flavor, or nothing at all."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.units: int | None = None
        self.error: Exception | None = None
        self.asked = 0
        self.asked_thrice = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def describe(self) -> CenterDescription:
        self.asked += 1
        if self.asked == 3:
            self.asked_thrice.set()
        if self.error is not None:
            raise self.error
        said: CenterDescription = await self.inner.describe()
        if self.units is None:
            return said
        return replace(said, flavors=tuple(replace(f, units=self.units) for f in said.flavors))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A corridor without programmes."""
    made = Scene(worlds.build(rules=()))
    yield made
    for process in made.processes:
        await process.end()


def effective(scene: Scene, flavor: str = NPU) -> int:
    """Units that may be held."""
    return scene.db.read_sync(pools.read)[flavor].effective_units


async def test_a_center_that_lost_units_starts_no_more_than_it_has(scene: Scene) -> None:
    center = Shrinking(scene.centers["ai"])
    process = await scene.lead(ai=center)
    assert await process.loop.capacity.ask("ai") == [NPU]
    assert await process.loop.capacity.ask("ai") == [], "it said so before"
    center.units = 3
    assert await process.loop.capacity.ask("ai") == [NPU]
    uids = scene.world.submit("w1", [job(units=3), job(units=3)])
    await scene.round(process)
    assert scene.states(*uids) == ["RUNNING", "QUEUED"]
    found = await process.loop.planner.explain(uids[1])
    assert found is not None
    assert (found.reason.code, found.reason.limit) == (ReasonCode.POOL_FULL, 3)
    center.units = 8
    await process.loop.capacity.ask("ai")
    await scene.round(process)
    assert scene.states(*uids) == ["RUNNING", "RUNNING"]


async def test_a_center_that_does_not_answer_keeps_what_it_said(scene: Scene) -> None:
    center = Shrinking(scene.centers["ai"])
    process = await scene.lead(ai=center)
    center.units = 5
    await process.loop.capacity.ask("ai")
    center.error = Unavailable("down")
    with pytest.raises(Unavailable):
        await process.loop.capacity.ask("ai")
    assert effective(scene) == 5


async def test_each_center_is_asked_by_itself_again_and_again(scene: Scene) -> None:
    """One hangs, one fails at first: the others' reports come all the same."""
    down, hung = Shrinking(scene.centers["ai"]), Shrinking(scene.centers["sc"])
    asked = asyncio.Event()
    down.error, down.units, hung.units = Unavailable("down"), 2, 2

    async def hang() -> CenterDescription:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    hung.describe = hang  # type: ignore[method-assign]
    process = await scene.lead()
    settings = LoopSettings(describe_s=0.001)
    watch = CapacityWatch({"ai": down, "sc": hung}, scene.clock, settings, process.loop)
    written = asyncio.Event()
    scene.db.after_commit.append(written.set)
    watch.start()
    try:
        await asked.wait()
        await down.asked_thrice.wait()
        down.error = None
        await written.wait()
    finally:
        await watch.stop()
    assert (effective(scene), effective(scene, CPU)) == (2, 64)


async def test_a_replaced_leader_reports_no_capacity(scene: Scene) -> None:
    center = Shrinking(scene.centers["ai"])
    process = await scene.lead(ai=center)
    scene.db.do(lambda c: take_over(c, "another", 0))
    center.units = 1
    with pytest.raises(Fenced):
        await process.loop.capacity.ask("ai")
    assert effective(scene) == 8


async def test_a_change_ordered_for_later_lets_jobs_start_at_its_time(scene: Scene) -> None:
    process = await scene.lead()
    change = Change(OPERATOR, None, "test", scene.clock.ms, 0)
    scene.db.do(lambda c: c.exec_driver_sql("UPDATE city_quota SET nominal_units = 0"))
    scene.db.do(
        lambda c: c.exec_driver_sql("UPDATE city_quota SET borrow_limit_units = 0, version = 9")
    )
    await process.loop.load()
    uids = scene.world.submit("w1", [job()])
    order = Order("wuhan", NPU, CityLimits(1, 0, None), scene.clock.ms + 60_000)
    scene.db.do(lambda c: quotas_dated.schedule(c, order, change))
    await process.loop.housekeeping.once()
    await scene.round(process)
    assert scene.states(*uids) == ["QUEUED"]
    scene.clock.ms += 60_000
    await process.loop.housekeeping.once()
    await scene.round(process)
    assert scene.states(*uids) == ["RUNNING"]


async def test_a_city_on_hold_starts_nothing_until_it_is_opened(scene: Scene) -> None:
    process = await scene.lead()
    change = Change(OPERATOR, None, "test", scene.clock.ms, 0)
    [running] = scene.world.submit("w1", [job(wall_s=9_000, runtime_s="8000")])
    await scene.round(process)
    scene.db.do(lambda c: stops.set_stop(c, "cities/wuhan", "HOLD", change))
    [waiting] = scene.world.submit("w1", [job()])
    await scene.round(process, 2)
    assert scene.states(running, waiting) == ["RUNNING", "QUEUED"]
    scene.db.do(lambda c: stops.set_stop(c, "cities/wuhan", "OPEN", change))
    await scene.round(process, 2)
    assert scene.states(running, waiting) == ["RUNNING", "RUNNING"]


async def test_a_budget_follows_its_enterprise_within_a_minute(scene: Scene) -> None:
    change = Change(OPERATOR, "", "test", scene.clock.ms, 0)
    for place in (Place("wuhan", "", NPU, ""), Place("", "w1", NPU, "")):
        scene.db.do(lambda c, p=place: budgets.update_budget(c, p, 500, change))  # type: ignore[misc]
    process = await scene.lead()
    await process.loop.housekeeping.once()
    scene.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'ezhou'"))
    home = "SELECT city, allotted_unit_seconds FROM budget WHERE enterprise = 'w1'"
    await process.loop.housekeeping.once()
    assert scene.db.rows(home) == [("wuhan", 500)], "looked at a moment ago"
    scene.clock.ms += budget_moves.LOOK_MS
    await process.loop.housekeeping.once()
    assert scene.db.rows(home) == [("ezhou", 0)]
