"""A promise outlives the leader that made it, and its center's first silence."""

from collections.abc import AsyncIterator

import pytest

from scheduler.placement.model import Promised
from scheduler.store.seed_files import SeedQuota
from tests.simulation import world as worlds
from tests.simulation.process import Process
from tests.simulation.scene import Scene
from tests.simulation.world import NPU, job


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A corridor without programmes."""
    nominal = {"xianning": 8, "ezhou": 0, "wuhan": 0}
    quotas = [SeedQuota(city, NPU, units, None, None) for city, units in nominal.items()]
    made = Scene(worlds.build(rules=(), quotas=quotas))
    yield made
    for process in made.processes:
        await process.end()


def promised(process: Process) -> list[int]:
    """Jobs that the last plan promised a pool."""
    return [one.uid for one in process.loop.planner.promises or () if one.flavor == NPU]


async def test_the_next_leader_keeps_the_promises_of_the_last(scene: Scene) -> None:
    process = await scene.lead()
    [running] = scene.world.submit("e1", [job(units=8, wall_s=7200, runtime_s="3600")])
    await scene.round(process)
    [first] = scene.world.submit("x2", [job(units=8, wall_s=7200)])
    await scene.round(process)
    assert promised(process) == [first]
    # By the rules alone the next one to be promised the pool would be this one.
    [later] = scene.world.submit("x1", [job(units=8, wall_s=600)])
    after = await scene.lead()
    after.loop.center_changed("ai", reachable=False)
    assert scene.states(running, first, later) == ["RUNNING", "QUEUED", "QUEUED"]
    await after.loop.load()
    await scene.round(after, 2)
    assert promised(after) == [first]
    scene.clock.ms += 3_600_000
    await scene.round(after, 3)
    assert scene.states(first, later) == ["RUNNING", "QUEUED"]


async def test_a_promise_waits_for_its_center_to_answer(scene: Scene) -> None:
    process = await scene.lead()
    [running] = scene.world.submit("e1", [job(units=8, wall_s=7200, runtime_s="3600")])
    await scene.round(process)
    [first] = scene.world.submit("x2", [job(units=8, wall_s=7200)])
    await scene.round(process)
    after = await scene.lead()
    after.loop.workers["ai"].reachable = False
    await after.loop.load()
    await after.loop.cycle()
    assert promised(after) == []
    assert scene.db.rows("SELECT job_uid FROM promise") == [(first,)]
    assert running
    after.loop.workers["ai"].reachable = True
    after.loop.center_changed("ai", reachable=True)
    [later] = scene.world.submit("x1", [job(units=8, wall_s=600)])
    await after.loop.cycle()
    assert after.loop.planner.promises == (Promised(first, NPU, 8),)
    assert later
