"""One center that answers nothing, or lets nobody in, changes nothing for another.

The service's own loop runs by itself on a real clock; what the healthy center is asked, and what
becomes of its jobs, is the same whatever the other one does.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Accepted, CenterDescription, Page, RunRequest
from adapters.errors import AdapterError, Unauthorized, Unavailable
from adapters.gate import Gate, GateSettings
from adapters.simulated import SimulatedCenter
from scheduler.control.loop import ControlLoop
from tests.simulation import world as worlds
from tests.simulation.centers import open_center
from tests.simulation.process import SETTINGS, Silence
from tests.simulation.world import CPU, NPU, World, job

QUICK = replace(
    SETTINGS, send_batch=64, send_concurrency=8, retry_s=0.01, follow_s=0.02, tick_s=0.02,
    acknowledge_s=0.02, unauthorized_pause_s=0.05, follow_pause_max_s=0.05,
)  # fmt: skip
JOBS = 12


class Sick(SimulatedCenter):
    """A center that blocks every call for ever, or fails it."""

    error: AdapterError | None = None
    is_blocking = False
    calls = 0

    async def _sick(self) -> None:
        self.calls += 1
        if self.is_blocking:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def describe(self) -> CenterDescription:
        await self._sick()
        return await super().describe()

    async def submit(self, request: RunRequest) -> Accepted:
        await self._sick()
        return await super().submit(request)

    async def list_active(self, page_token: str = "") -> Page:
        await self._sick()
        return await super().list_active(page_token)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        await self._sick()


class Well(SimulatedCenter):
    """A center that keeps count of what it is asked."""

    submitted = 0
    acknowledged = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.all_acknowledged = asyncio.Event()

    async def submit(self, request: RunRequest) -> Accepted:
        self.submitted += 1
        return await super().submit(request)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        self.acknowledged += len(run_ids)
        if self.acknowledged >= JOBS:
            self.all_acknowledged.set()


@asynccontextmanager
async def running(world: World, sick: Sick, well: Well) -> AsyncIterator[ControlLoop]:
    """A loop that leads both centers, each behind its own gate."""
    limits = GateSettings(concurrency_max=2, pause_s=0.05)
    loop = ControlLoop(
        db=world.db, clock=world.clock, metrics=Silence(), settings=QUICK,
        adapters={
            "ai": Gate(sick, limits, asyncio.get_running_loop().time),
            "sc": Gate(well, limits, asyncio.get_running_loop().time),
        },
        decode_spec=worlds.decode, holder="test", rng=random.Random(1),
    )  # fmt: skip
    await loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def live(world: World, sick: Sick, well: Well) -> list[Any]:
    """Jobs for both centers; returns what became of those of the one that is well."""
    sick_jobs = world.submit("w1", [job(NPU, 1, runtime_s="1") for _ in range(4)])
    jobs = world.submit("e1", [job(CPU, 1, runtime_s="1") for _ in range(JOBS)])
    listed = ", ".join(map(str, jobs))
    async with running(world, sick, well), asyncio.timeout(60):
        while world.db.rows(f"SELECT 1 FROM job WHERE uid IN ({listed}) AND NOT settled"):
            world.clock.ms += 20
            await asyncio.sleep(0.005)
        await well.all_acknowledged.wait()
        calls = sick.calls
    assert len(sick_jobs) == 4
    if sick.is_blocking:
        assert calls <= 2, "no more calls than agreed wait for the one that blocks"
    return world.db.rows(f"SELECT state, attempt, gross_fen FROM job WHERE uid IN ({listed})")


def centers(world: World) -> tuple[Sick, Well]:
    """Both, without faults of their own."""
    settings = {
        name: open_center(name, world.clock, 1, faulty=False).settings for name in ("ai", "sc")
    }
    clock = world.clock
    return (
        Sick(settings["ai"], clock.now_ms, clock.real_s),
        Well(settings["sc"], clock.now_ms, clock.real_s),
    )


@pytest.mark.parametrize(
    "sickness", ["well", "blocks", Unavailable("away"), Unauthorized("who are you")], ids=str
)
async def test_the_other_centers_jobs_start_are_followed_and_settled(sickness: Any) -> None:
    world = worlds.build(rules=())
    sick, well = centers(world)
    sick.is_blocking = sickness == "blocks"
    sick.error = sickness if isinstance(sickness, AdapterError) else None
    ended = await live(world, sick, well)
    assert ended == [("SUCCEEDED", 1, 0)] * JOBS
    assert well.submitted == JOBS, "each is sent once"
