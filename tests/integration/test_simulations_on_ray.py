"""Scenarios as tasks on Ray: the same figures as in processes; they end with the call that asked,
and without Ray processes go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from scheduler.control.ray_link import RayPlanner
from scheduler.control.settings import LoopSettings
from scheduler.control.simulations import Simulations
from scheduler.placement.model import CORRIDOR
from scheduler.settings import SimulationSettings
from scheduler.whatif.answers import Answer, Progress, Where
from scheduler.whatif.figures import Asker
from scheduler.whatif.scenarios import CityChange, Scenario
from tests.simulation.days import Day, random_day
from tests.simulation.world import NPU

pytestmark = pytest.mark.ray

MORE = (
    Scenario("more", (CityChange("ezhou", NPU, 6),)),
    Scenario("less", (CityChange("ezhou", NPU, 1, 0),)),
)


@pytest.fixture
async def on_ray() -> AsyncIterator[RayPlanner]:
    planner = await RayPlanner.open(LoopSettings(shards=1, ray_silence_s=60))
    yield planner
    await planner.close()


def simulations(day: Day, ray: RayPlanner | None) -> Simulations:
    return Simulations(day.it.db, day.it.clock, CORRIDOR, SimulationSettings(), lambda: ray)


async def answer(of: Simulations) -> tuple[list[Progress], Answer]:
    """What a simulation says."""
    progress: list[Progress] = []
    async for told in of.simulate(7, MORE, Asker("ezhou")):
        if isinstance(told, Answer):
            return progress, told
        progress.append(told)
    raise AssertionError("no answer")


def workers() -> list[str]:
    """Processes in which Ray plays a scenario."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::play_task"):
            found.append(one.name)
    return found


async def wait_for(wanted: bool) -> None:
    """Wait until there are such workers, or none: less long than one scenario would play."""
    async with asyncio.timeout(15):
        while bool(workers()) is not wanted:  # noqa: ASYNC110 - another's processes
            await asyncio.sleep(0.05)


async def test_ray_and_processes_find_the_same_and_ray_may_be_lost(on_ray: RayPlanner) -> None:
    day = random_day(4)
    day.go_on_to(None)
    day.it.clock.ms += 1
    _, by_ray = await answer(simulations(day, on_ray))
    assert (by_ray.where, by_ray.why_not_ray) == (Where.RAY, "")
    _, alone = await answer(simulations(day, None))
    assert (alone.where, alone.why_not_ray) == (Where.PROCESSES, "Ray is not up")
    assert by_ray.figures == alone.figures
    assert len({str(one.rows) for one in by_ray.figures}) > 1, "scenarios differ"
    await on_ray.kill()
    _, after = await answer(simulations(day, on_ray))
    assert (after.where, after.why_not_ray) == (Where.PROCESSES, "closed")
    assert after.figures == alone.figures


@pytest.mark.slow
async def test_tasks_end_with_the_call_that_asked_and_the_planner_goes_on(
    on_ray: RayPlanner,
) -> None:
    day = random_day(4)
    names = [row[1] for row in day.it.db.rows("PRAGMA table_info(job)")]
    moved = {"uid": "uid + n * 1000000000", "state": "'QUEUED'", "end_ms": "NULL",
             "submit_ms": "submit_ms + n * 20000", "attempt": "0"}  # fmt: skip
    chosen = ", ".join(moved.get(name, name) for name in names)
    day.it.db.do(
        lambda c: c.exec_driver_sql(
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1500)"
            f" INSERT INTO job ({', '.join(names)}) SELECT {chosen} FROM job, t"
        )
    )
    day.it.clock.ms += 1500 * 20_000
    await on_ray.load(1, [], 0)
    told = simulations(day, on_ray).simulate(7, MORE, Asker())
    async with aclosing(told):
        async for one in told:
            assert isinstance(one, Progress)
            if one.ended_jobs:
                break
        assert workers(), "Ray plays"
    await wait_for(False)
    assert (await on_ray.cycle(1, [], 2, 0)).starts == ()
