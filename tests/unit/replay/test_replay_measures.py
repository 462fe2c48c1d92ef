"""Measures on cases small enough to work out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import EASY, CityQuotaSet
from scheduler.replay.alone import finish_time_ratios, replay_alone
from scheduler.replay.fairness import DAY_S, Work, shares, water_fill
from scheduler.replay.measures import Window, measure, usual_window
from scheduler.replay.setup import Setup, corridor
from scheduler.replay.simulate import Replayed
from scheduler.replay.timeline import follow
from scheduler.replay.trace import Trace, TraceJob

WEIGHTS = {"east": 1, "west": 1}


def job(
    job_id: int, submit_s: int, run_s: int, units: int, city: str = "east", user: str = "U"
) -> TraceJob:
    run_ms = run_s * 1000
    return TraceJob(
        job_id, submit_s * 1000, run_ms, run_ms, units, 1, city, f"E-{city}", user, "cpu"
    )


def replayed(*placed: tuple[TraceJob, int]) -> Replayed:
    return Replayed(
        tuple(one for one, _ in placed), tuple(start_s * 1000 for _, start_s in placed), {}, 0, 0
    )


def machine(procs: int, **quotas: CityQuotaSet) -> Setup:
    return corridor(
        {"cpu": procs}, WEIGHTS, {(city, "cpu"): quota for city, quota in quotas.items()}
    )


PROOF = (
    (job(1, 0, 100, 8, user="A"), 0),
    (job(2, 1, 10, 10, user="B"), 100),
    (job(3, 2, 1000, 2, user="B"), 110),
    (job(4, 3, 50, 2, user="B"), 3),
)


def test_waits_and_slowdowns_of_the_four_job_proof() -> None:
    course = replayed(*PROOF)
    trace = Trace("proof", course.jobs, {}, by_city=False)
    found = measure(trace, "easy", course, machine(10), {})
    waits = found.waits
    assert (waits.jobs, waits.mean_wait_s, waits.median_wait_s) == (4, 207 / 4, 49.5)
    assert waits.max_wait_s == 108
    # 1, (99 + 10) / 10, (108 + 1000) / 1000, 1
    assert waits.avebsld == pytest.approx((1 + 10.9 + 1.108 + 1) / 4)
    assert waits.avebsld_per_user == pytest.approx((1 + (10.9 + 1.108 + 1) / 3) / 2)
    assert waits.share_wait_over_10x_limit == 0
    kind = found.kinds["cpu"]
    work = 800 + 100 + 2000 + 100
    assert kind.makespan_s == 1110
    assert kind.utilization == kind.utilization_makespan == pytest.approx(work / 11_100)
    # Until second 2 nothing fits; in second 2 two units idle while job 3 asks for two; from 3 to 53
    # they are held by job 4; until 100 they idle again for the reservation of job 2.
    assert kind.loss_of_capacity == pytest.approx((2 * 1 + 2 * 47) / 11_100)
    assert [waits.jobs for waits in kind.by_size.values()] == [3, 1, 0, 0]


def test_short_runs_are_bounded_by_ten_seconds() -> None:
    course = replayed((job(1, 0, 1, 1), 4), (job(2, 0, 1, 1), 99))
    found = measure(Trace("t", course.jobs, {}, by_city=False), "x", course, machine(1), {})
    assert found.waits.avebsld == pytest.approx((1 + 10) / 2)
    assert found.waits.share_wait_over_10x_limit == 0.5


def test_only_jobs_and_use_inside_the_window_count() -> None:
    day = 86_400
    course = replayed(
        (job(1, 0, 3 * day, 1), 0),
        (job(2, 3 * day, 10, 1), 3 * day + 20),
        (job(3, 8 * day, 1, 1), 8 * day),
    )
    trace = Trace("t", course.jobs, {}, by_city=True)
    assert usual_window(trace) == Window(2, 6)
    found = measure(trace, "x", course, machine(2), {})
    assert (found.waits.jobs, found.waits.mean_wait_s) == (1, 20)
    assert found.kinds["cpu"].utilization == pytest.approx((day + 10) / (2 * 6 * day))
    assert usual_window(Trace("t", course.jobs[:2], {}, by_city=True)) == Window(0, 3)
    assert usual_window(Trace("t", course.jobs, {}, by_city=False)) is None


def test_use_above_a_quota_is_seen() -> None:
    capped = machine(4, east=CityQuotaSet("east", "cpu", 2, 0))
    course = replayed((job(1, 0, 10, 2), 0), (job(2, 0, 10, 1), 9), (job(3, 0, 10, 2, "west"), 9))
    found = follow(course, [0, 1, 2], "cpu", capped, 0, 19_000)
    # East holds 3 of its 2 units in second 9, and all together 5 of 4.
    assert (found.over_limit, found.peak_units) == (2, {"east": 3, "west": 2})
    course = replayed((job(1, 0, 10, 2), 0), (job(2, 0, 10, 1), 10))
    assert follow(course, [0, 1], "cpu", capped, 0, 20_000).over_limit == 0


def test_water_is_filled_by_weight_up_to_the_demand() -> None:
    assert water_fill(12, [2, 100, 100], [1, 1, 1]) == [2, 5, 5]
    assert water_fill(12, [100, 100], [1, 2]) == [4, 8]
    assert water_fill(12, [1, 2], [1, 2]) == [1, 2]


@given(
    st.floats(0, 1e6),
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.1, 100)), min_size=1, max_size=6),
)
def test_water_is_never_spilled_nor_forced(
    capacity: float, wanted: list[tuple[float, float]]
) -> None:
    demand, weights = zip(*wanted, strict=True)
    filled = water_fill(capacity, demand, weights)
    assert sum(filled) == pytest.approx(min(capacity, sum(demand)), abs=1e-3)
    assert all(got <= asked + 1e-6 for got, asked in zip(filled, demand, strict=True))


def test_shortfall_is_what_a_city_lacked_of_its_entitlement() -> None:
    # Both cities could use the day's only unit all day; one got three quarters of it.
    work = Work(
        np.zeros(2), np.array([0.0, 0.75 * DAY_S]), np.array([DAY_S, DAY_S]), np.ones(2),
        np.array([0, 1]),
    )  # fmt: skip
    work = work._replace(run_s=np.array([0.75 * DAY_S, DAY_S]))
    found = shares(work, [1.0, 1.0], 1, 0, 1)
    assert found.shortfall == pytest.approx(0.25)
    assert found.deviation == pytest.approx(0.25)
    assert found.jain == pytest.approx((1 + 0.5) ** 2 / (2 * (1 + 0.25)))


def test_an_idle_machine_is_fair() -> None:
    empty = np.zeros(0)
    work = Work(empty, empty, empty, empty, np.zeros(0, dtype=np.int64))
    assert shares(work, [1.0, 2.0], 5, 0, 3) == (0.0, 0.0, 1.0)


def test_finish_times_are_compared_with_the_citys_own_part() -> None:
    # West's job waits 100 s behind east's; on its own half of the machine it would start at once.
    course = replayed((job(1, 0, 100, 2, "east"), 0), (job(2, 0, 50, 1, "west"), 100))
    alone = replay_alone(course, machine(2), lambda: PlanningCore(EASY))
    assert [(one.job_id, one.kind) for one in alone.jobs] == [(2, "cpu@west")]
    assert finish_time_ratios(course, alone) == {"cpu": {"E-west": 3.0}}
