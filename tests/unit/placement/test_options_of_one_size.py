"""A job may run on few nodes or on many: options of one flavor and one number of units."""

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
    RunEnded,
)

FEW_NODES = Option("a", 8, 1, 60_000)
MANY_NODES = Option("a", 8, 2, 60_000)


def test_jobs_with_two_options_of_one_size_start_and_leave_their_queue() -> None:
    planner = PlanningCore(CORRIDOR)
    told: list[Delta] = [CitySet("wuhan", 1), EnterpriseSet("e1", "wuhan"), PoolSet("a", "c", 20)]
    jobs = [JobQueued(uid, "wuhan", "e1", 0, uid, (FEW_NODES, MANY_NODES)) for uid in (1, 2, 3)]
    planner.load(0, [*told, *jobs])
    plan = planner.cycle(0, [], 0, 1_000)
    assert [(start.uid, start.option) for start in plan.starts] == [(1, FEW_NODES), (2, FEW_NODES)]
    assert planner.counts(1_000).jobs == {("wuhan", "a"): 1}
    plan = planner.cycle(0, [RunEnded(1, 500)], 1, 2_000)
    assert [start.uid for start in plan.starts] == [3]
    assert planner.counts(2_000).jobs == {}
