"""The planner on Ray gives the plans of the planner in process; a shard that is lost is noticed."""

import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks import workload
from scheduler.control.planner import PlannerAway
from scheduler.control.ray_link import RayPlanner
from scheduler.control.settings import LoopSettings
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.core import PlanningCore, StaleRevision
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    Delta,
    JobQueued,
    JobRemoved,
    Option,
    RunEnded,
    StartRefused,
    Unparked,
)

pytestmark = pytest.mark.ray

SHARDS = 2
NOW_MS = workload.BEGIN_MS


@pytest.fixture
async def on_ray() -> AsyncIterator[RayPlanner]:
    planner = await RayPlanner.open(LoopSettings(shards=SHARDS, ray_silence_s=60))
    yield planner
    await planner.close()


class Days:
    """What happens to a corridor, at random from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._arrivals = workload.Arrivals(seed, shapes=12)
        self.running: list[int] = []
        self.waiting: list[int] = []

    def jobs(self, count: int, now_ms: int) -> list[Delta]:
        """New jobs."""
        found = self._arrivals.take(count, now_ms)
        self.waiting += [job.uid for job in found if isinstance(job, JobQueued)]
        return found

    def happenings(self, now_ms: int) -> list[Delta]:
        """Ends, refusals, cancels, money that came back, a quota that moved, new jobs."""
        rng = self._rng
        rng.shuffle(self.running)
        ended = [self.running.pop() for _ in range(min(20, len(self.running)))]
        found: list[Delta] = [RunEnded(uid, 5_000) for uid in ended[3:]]
        reason = PendingReason(rng.choice([ReasonCode.WALLET_SHORT, ReasonCode.POOL_FULL]))
        found += [StartRefused(uid, reason, now_ms + 3_000) for uid in ended[:3]]
        found += [JobRemoved(uid) for uid in rng.sample(self.waiting, min(5, len(self.waiting)))]
        if rng.random() < 0.3:
            found.append(Unparked("wuhan"))
        if rng.random() < 0.2:
            found.append(CityQuotaSet("wuhan", workload.flavor(0), 100, rng.randint(0, 300)))
        return found + self.jobs(rng.randint(0, 60), now_ms)


async def test_plans_and_reasons_are_those_of_the_planner_in_process(on_ray: RayPlanner) -> None:
    days, core = Days(1), PlanningCore(CORRIDOR)
    told = [*workload.rules(), *days.jobs(3_000, NOW_MS)]
    core.load(0, told, NOW_MS)
    await on_ray.load(0, told, NOW_MS)
    now_ms, deltas = NOW_MS, list[Delta]()
    for revision in range(40):
        now_ms += 1_000
        plan = core.cycle(revision, deltas, revision + 1, now_ms)
        assert await on_ray.cycle(revision, deltas, revision + 1, now_ms) == plan
        days.running += [start.uid for start in plan.starts]
        deltas = days.happenings(now_ms)
    assert days.running
    for uid in days.waiting[::200]:
        assert await on_ray.explain(uid, now_ms) == core.explain(uid, now_ms)
    options = (Option(workload.flavor(0), 8, 1, 3_600_000),)
    job = JobQueued(10**9, "wuhan", "enterprise-001", 0, now_ms, options)
    assert await on_ray.estimate(job, now_ms) == core.estimate(job, now_ms)
    assert await on_ray.counts(now_ms) == core.counts(now_ms)
    assert await on_ray.sample(now_ms, True) == core.sample(now_ms, True)
    with pytest.raises(StaleRevision):
        await on_ray.cycle(7, [], 8, now_ms)


def processes_below(pid: int) -> Iterator[tuple[int, str]]:
    """Each process below another with its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().decode()
        except OSError:  # it has ended meanwhile
            continue
        if parent == pid:
            yield int(folder.name), command
            yield from processes_below(int(folder.name))


async def test_a_lost_shard_is_no_empty_queue(on_ray: RayPlanner) -> None:
    days = Days(2)
    await on_ray.load(0, [*workload.rules(), *days.jobs(500, NOW_MS)], NOW_MS)
    assert (await on_ray.cycle(0, [], 1, NOW_MS)).starts
    shards = [pid for pid, name in processes_below(os.getpid()) if "ray::ShardActor" in name]
    assert len(shards) == SHARDS
    for pid in shards:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(PlannerAway):
        await on_ray.cycle(1, days.jobs(200, NOW_MS), 2, NOW_MS)
