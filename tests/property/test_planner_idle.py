"""No unit idles that a waiting job could use, no promise is missed: proven by a second opinion."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    JobQueued,
    Option,
    PolicySettings,
)
from scheduler.replay.reading import read_trace
from scheduler.replay.setup import Setup, corridor
from tests.property.idle_checker import IdleChecker
from tests.property.planner_course import HASTY, Course, Happening, Machine, machines, workloads

THREE_DAYS = Path(__file__).parents[2] / "scheduler/data/traces/corridor_open_3days.csv.gz"


@settings(max_examples=150, deadline=None)
@given(machines(limits=False), workloads(), st.sampled_from([CORRIDOR, EASY, HASTY]))
def test_nothing_idles_and_no_promise_is_missed(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    told, checker = machine
    Course(told, checker, policy).run(workload)
    # What is left asks for more than there is.
    assert all(
        option.units > checker.capacities[option.flavor]
        for job in checker.waiting.values()
        for option in job.options
    )


@settings(max_examples=150, deadline=None)
@given(machines(limits=True), workloads(), st.sampled_from([CORRIDOR, EASY, HASTY]))
def test_nothing_idles_whatever_the_quotas_and_caps(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    told, checker = machine
    Course(told, checker, policy).run(workload)
    # Alone on the machine, none of those that are left could start either.
    assert not any(
        checker.fits((), job, option) for job in checker.waiting.values() for option in job.options
    )


@settings(max_examples=150, deadline=None)
@given(
    machines(limits=True), workloads(), st.sampled_from([CORRIDOR, EASY, HASTY]),
    st.integers(1, 4),
)  # fmt: skip
def test_another_planner_keeps_what_was_promised(
    machine: Machine,
    workload: list[Happening],
    policy: PolicySettings,
    anew: int,
) -> None:
    told, checker = machine
    Course(told, checker, policy, anew=anew).run(workload)


def replayed(setup: Setup, policy: PolicySettings, every: int) -> IdleChecker:
    """The 3-day workload through a planner and the checker."""
    jobs, _ = setup.placeable(read_trace(THREE_DAYS).jobs)
    checker = IdleChecker(setup.capacities, setup.quotas)
    happenings: list[Happening] = [
        (
            job.submit_ms,
            JobQueued(
                uid, job.city, job.enterprise, 0, job.submit_ms,
                (Option(job.kind, job.units, job.nodes, job.wall_ms),),
            ),
            job.run_ms,
        )
        for uid, job in enumerate(jobs)
    ]  # fmt: skip
    Course(setup.deltas(jobs), checker, policy, every, asks=25).run(happenings)
    assert not checker.waiting
    return checker


def test_nothing_idles_in_the_three_day_workload() -> None:
    setup = corridor({"cpu": 3328, "npu": 632, "gpu": 24})
    assert replayed(setup, CORRIDOR, every=10).proven > 5_000


@pytest.mark.slow
@pytest.mark.parametrize("policy", [CORRIDOR, EASY], ids=["corridor", "easy"])
def test_nothing_idles_at_any_instant_of_the_three_day_workload(policy: PolicySettings) -> None:
    setup = corridor({"cpu": 3328, "npu": 632, "gpu": 24})
    assert replayed(setup, policy, every=1).proven > 50_000
