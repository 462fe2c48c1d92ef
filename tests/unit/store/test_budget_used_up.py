"""Which budgets are used up is told to the planner, which then orders their jobs last."""

from quota.budgets import Mode, Terms
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR, UsedUp
from scheduler.store import admission, feed, planner_feed
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, job
from tests.unit.store.budget_hands import HOLD, OCT_MS, allot, free_enterprises, hands, set_terms

OVERBURN = {"mode": Mode.OVERBURN, "overburn_bps": 10_000}
DAY_MS = 86_400_000


def snapshot(it: Hands) -> list[UsedUp]:
    """What a new planner is told of budgets."""
    _, told = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))
    return [one for one in told if isinstance(one, UsedUp)]


def news(it: Hands, after: int) -> list[UsedUp]:
    """What a planner is told that has seen this much."""
    _, told, _, _ = it.db.read_sync(lambda c: planner_feed.read_deltas(c, after, 1_000))
    return [one for one in told if isinstance(one, UsedUp)]


def head(it: Hands) -> int:
    """The last event."""
    return it.db.read_sync(feed.head)


def test_without_budgets_nothing_is_told() -> None:
    it = hands()
    it.world.submit("w1", [job()])
    assert snapshot(it) == news(it, 0) == []


def test_a_city_is_told_as_used_up_until_a_run_gives_back_what_it_did_not_use() -> None:
    it = hands()
    allot(it, HOLD)
    free_enterprises(it, **OVERBURN)
    [uid] = it.world.submit("w1", [job()])
    assert snapshot(it) == [UsedUp()]
    before = head(it)
    it.run(uid)
    used_up = UsedUp((("cities/wuhan", "ai/npu"),))
    assert snapshot(it) == news(it, before) == [used_up]
    before = head(it)
    it.end(uid, 10)
    assert snapshot(it) == news(it, before) == [UsedUp()]


def test_an_enterprise_is_told_and_only_for_its_flavor_and_period() -> None:
    it = hands()
    allot(it, 10**6)
    allot(it, 10**6, flavor=CPU)
    allot(it, 0, enterprise="w1")
    allot(it, 10, enterprise="w1", flavor=CPU)
    set_terms(it, Terms(mode=Mode.OVERBURN, overburn_bps=10_000))
    assert snapshot(it) == [UsedUp((("enterprises/w1", "ai/npu"),))]
    it.clock.ms = OCT_MS
    assert snapshot(it) == [UsedUp()]


def test_what_denies_or_only_counts_is_not_told() -> None:
    it = hands()
    allot(it, 0)
    for terms in (Terms(), Terms(mode=Mode.OBSERVE), Terms(enabled=False, **OVERBURN)):  # type: ignore[arg-type]
        set_terms(it, terms)
        assert snapshot(it) == [UsedUp()]


def test_over_budget_goes_last_from_the_store_to_the_start() -> None:
    """W1 has waited longer and used less than w2; its budget is used up."""
    it = hands()
    allot(it, 10**6)
    allot(it, HOLD, enterprise="w1")
    allot(it, None, enterprise="w2")
    set_terms(it, Terms(mode=Mode.OVERBURN, overburn_bps=10_000))
    it.run(*it.world.submit("w1", [job()]), *it.world.submit("w2", [job(units=4)]))
    [late] = it.world.submit("w1", [job()])
    [other] = it.world.submit("w2", [job(units=2)])
    core = PlanningCore(CORRIDOR)
    revision, told = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))
    core.load(revision, told, it.clock.ms)
    plan = core.cycle(revision, (), revision, it.clock.ms)
    assert [start.uid for start in plan.starts] == [other, late]
    assert not it.db.do(lambda c: admission.admit(c, it.epoch, plan.starts, it.clock.ms)).deltas
