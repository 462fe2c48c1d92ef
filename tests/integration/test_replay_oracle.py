"""The planner in a replay beside the plainest FCFS and EASY that could be written."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CityQuotaSet
from scheduler.replay.measures import measure
from scheduler.replay.setup import Setup, corridor
from scheduler.replay.simulate import POLICIES, Replayed, simulate
from scheduler.replay.trace import Trace, TraceJob

PROCS = {"cpu": 10, "npu": 4}
CITIES = {"east": 3, "north": 2, "west": 1}


class Running(NamedTuple):
    """A job that holds units: when it ends, and when it must have ended."""

    end_ms: int
    limit_ms: int
    units: int


def slow_starts(jobs: Sequence[TraceJob], procs: int, backfill: bool) -> dict[int, int]:
    """Starts by job id on one machine, by scanning lists at every instant."""
    coming, queue = list(jobs), list[TraceJob]()
    running: list[Running] = []
    starts: dict[int, int] = {}
    while coming or running:
        now_ms = min([job.submit_ms for job in coming] + [run.end_ms for run in running])
        running = [run for run in running if run.end_ms > now_ms]
        queue += [job for job in coming if job.submit_ms == now_ms]
        coming = [job for job in coming if job.submit_ms > now_ms]
        while (job := next_start(queue, running, procs, now_ms, backfill)) is not None:
            queue.remove(job)
            running.append(Running(now_ms + job.run_ms, now_ms + job.wall_ms, job.units))
            starts[job.job_id] = now_ms
    return starts


def next_start(
    queue: list[TraceJob], running: list[Running], procs: int, now_ms: int, backfill: bool
) -> TraceJob | None:
    free = procs - sum(run.units for run in running)
    if not queue:
        return None
    head = queue[0]
    if head.units <= free:
        return head
    if not backfill:
        return None
    for shadow_ms in sorted(run.limit_ms for run in running):
        at_shadow = free + sum(run.units for run in running if run.limit_ms <= shadow_ms)
        if at_shadow >= head.units:
            break
    for job in queue[1:]:
        in_time = now_ms + job.wall_ms <= shadow_ms
        if job.units <= free and (in_time or job.units <= at_shadow - head.units):
            return job
    return None


@st.composite
def workloads(draw: st.DrawFn) -> tuple[TraceJob, ...]:
    shapes = st.tuples(
        st.integers(0, 12), st.integers(1, 30), st.integers(0, 25), st.sampled_from(sorted(PROCS)),
        st.sampled_from(sorted(CITIES)), st.integers(0, 2),
    )  # fmt: skip
    jobs = []
    at_ms = 0
    for number, (gap, run, slack, kind, city, member) in enumerate(
        draw(st.lists(shapes, min_size=1, max_size=40))
    ):
        at_ms += max(0, gap - 6)
        units = draw(st.integers(1, PROCS[kind]))
        enterprise = f"{city}-{member}"
        jobs.append(
            TraceJob(number, at_ms, run, run + slack, units, 1, city, enterprise, "U", kind)
        )
    return tuple(jobs)


def replay(
    jobs: tuple[TraceJob, ...], policy: str, shards: int = 1, setup: Setup | None = None
) -> Replayed:
    setup = setup or corridor(PROCS, CITIES)
    return simulate(jobs, setup, PlanningCore(POLICIES[policy], shards))


@settings(max_examples=300, deadline=None)
@given(workloads(), st.sampled_from(["fcfs", "easy"]), st.sampled_from([1, 3]))
def test_every_start_equals_that_of_the_plain_scheduler(
    jobs: tuple[TraceJob, ...], policy: str, shards: int
) -> None:
    replayed = replay(jobs, policy, shards)
    expected: dict[int, int] = {}
    for kind, procs in PROCS.items():
        of_kind = [job for job in jobs if job.kind == kind]
        expected |= slow_starts(of_kind, procs, backfill=policy == "easy")
    assert {job.job_id: at for job, at in zip(jobs, replayed.start_ms, strict=True)} == expected


QUOTAS = {
    ("east", "cpu"): CityQuotaSet("east", "cpu", 5, 1, 2),
    ("north", "cpu"): CityQuotaSet("north", "cpu", 3, None, 3),
    ("west", "cpu"): CityQuotaSet("west", "cpu", 2, 4, 1),
    ("west", "npu"): CityQuotaSet("west", "npu", 1, 0),
}


@settings(max_examples=150, deadline=None)
@given(workloads(), st.sampled_from(["fcfs", "easy", "corridor"]))
def test_quotas_and_promises_are_kept_whatever_the_policy(
    jobs: tuple[TraceJob, ...], policy: str
) -> None:
    setup = corridor(PROCS, CITIES, QUOTAS)
    kept, _ = setup.placeable(jobs)
    if not kept:
        return
    replayed = replay(kept, policy, setup=setup)
    found = measure(Trace("t", kept, {}, by_city=False), policy, replayed, setup, {})
    assert all(kind.over_quota == 0 for kind in found.kinds.values())
    assert all(
        at >= job.submit_ms for job, at in zip(replayed.jobs, replayed.start_ms, strict=True)
    )
    assert replayed.promises_broken == 0


@settings(max_examples=100, deadline=None)
@given(workloads())
def test_corridor_starts_do_not_depend_on_the_number_of_shards(
    jobs: tuple[TraceJob, ...],
) -> None:
    assert replay(jobs, "corridor").start_ms == replay(jobs, "corridor", shards=5).start_ms


@pytest.mark.parametrize(
    ("policy", "starts"), [("fcfs", (0, 100, 110, 110)), ("easy", (0, 100, 110, 3))]
)
def test_four_jobs_prove_that_a_promise_is_kept(policy: str, starts: tuple[int, ...]) -> None:
    shapes = ((0, 100, 8), (1, 10, 10), (2, 1000, 2), (3, 50, 2))
    jobs = tuple(
        TraceJob(number, at, run, run, units, 1, "east", "E1", "U", "cpu")
        for number, (at, run, units) in enumerate(shapes)
    )
    assert replay(jobs, policy).start_ms == starts
