"""What alternatives would cost: told to the planner by rates, whatever the funds hold."""

from dataclasses import replace

from quota.rules import Rule
from scheduler.domain.spec import JobSpec, ResourceOption
from scheduler.placement.model import CORRIDOR, JobQueued
from scheduler.store import planner_feed
from tests.simulation import world as worlds
from tests.simulation.world import CPU, NPU, World, job

BOTH = replace(job(), options=(ResourceOption(NPU, 1), ResourceOption(CPU, 8)), wall_limit_s=36_000)
#: 222,222 and 8 * 2,778 micro-fen a second, for ten hours.
NPU_FEN, CPU_FEN = 8_000, 800


def told(world: World, spec: JobSpec, enterprise: str = "w1") -> list[int]:
    """What the options of a new job would cost, as the planner is told."""
    [(after,)] = world.db.rows("SELECT coalesce(max(seq), 0) FROM event")
    [uid] = world.submit(enterprise, [spec])
    _, deltas, _, _ = world.db.read_sync(lambda c: planner_feed.read_deltas(c, after, 10))
    [queued] = deltas
    _, everything = world.db.read_sync(lambda c: planner_feed.snapshot(c, world.clock.ms, CORRIDOR))
    assert queued in [one for one in everything if isinstance(one, JobQueued) and one.uid == uid]
    assert isinstance(queued, JobQueued)
    return [option.net_fen for option in queued.options]


def test_alternatives_are_priced_at_their_limits() -> None:
    assert told(worlds.build(rules=()), BOTH) == [NPU_FEN, CPU_FEN]


def test_rates_count_and_empty_funds_do_not() -> None:
    """A quarter for one flavor, from a fund that has a fen."""
    world = worlds.build(rules=((Rule("v", 1, "wuhan", 2500, flavors=(CPU,)), 1),))
    assert told(world, BOTH) == [NPU_FEN, CPU_FEN - CPU_FEN // 4]
    assert told(world, BOTH, "e1") == [NPU_FEN, CPU_FEN], "of another city"


def test_a_job_that_wants_no_subsidy_pays_all() -> None:
    world = worlds.build(rules=((Rule("v", 1, "wuhan", 2500), 10_000),))
    assert told(world, replace(BOTH, subsidy="NONE")) == [NPU_FEN, CPU_FEN]


def test_a_job_without_alternatives_is_not_priced() -> None:
    assert told(worlds.build(rules=()), job()) == [0]
