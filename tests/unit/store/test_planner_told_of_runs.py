"""What the planner is told of runs: who may be evicted, who is, and which ends teach nothing."""

import pytest

from adapters.contract import Phase
from scheduler.domain.reports import noticed
from scheduler.placement.model import CORRIDOR, Evicted, RunActive, RunEnded
from scheduler.store import planner_feed
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU
from tests.unit.store.evicting_hands import GRACE_MS, order, running, waiting


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def told_runs(it: Hands) -> list[RunActive]:
    """The runs of a snapshot."""
    _, deltas = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))
    return [delta for delta in deltas if isinstance(delta, RunActive)]


def test_the_planner_hears_who_may_be_evicted_and_who_is(it: Hands) -> None:
    free, bound = running(it, priority=5), running(it, "e1", interruptible=False)
    by_uid = {run.uid: run for run in told_runs(it)}
    assert by_uid[free].interruptible
    assert (by_uid[free].priority, by_uid[free].user) == (5, "w1-user")
    assert not by_uid[bound].interruptible
    whom = waiting(it)
    order(it, free, for_uid=whom)
    [run] = [run for run in told_runs(it) if run.uid == free]
    assert (run.interruptible, run.ending_ms, run.ending_for) == (
        False, it.clock.ms + GRACE_MS, whom,
    )  # fmt: skip


def test_the_planner_hears_what_was_evicted_of_late_though_it_has_ended(it: Hands) -> None:
    def told() -> list[Evicted]:
        _, deltas = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))
        return [delta for delta in deltas if isinstance(delta, Evicted)]

    gone, going, whom = running(it), running(it, "e1"), waiting(it)
    order(it, gone, for_uid=whom)
    gone_ms = it.clock.ms
    it.report(noticed(gone, 1))
    it.end(gone, 60, Phase.CANCELLED)
    order(it, going, for_uid=waiting(it))
    assert told() == [Evicted(gone, NPU, 1, gone_ms), Evicted(going, NPU, 1, it.clock.ms)]
    it.clock.ms = gone_ms + 86_400_000
    assert gone not in {one.uid for one in told()}
    # As long as the rate looks back, if that is longer.
    it.db.do(
        lambda c: c.exec_driver_sql(
            "INSERT INTO flavor_quota (flavor, reclaim, lease_s, run_min_s, grace_s, rate_bps,"
            f" rate_s, version, updated_ms) VALUES ('{NPU}', 'evict', 1, 1, 1, 1, 90000, 1, 0)"
        )
    )
    assert gone in {one.uid for one in told()}


def test_one_that_was_evicted_twice_is_told_as_not_interruptible(it: Hands) -> None:
    uid = running(it)
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET evictions = 2 WHERE uid = {uid}"))
    [run] = told_runs(it)
    assert (run.interruptible, run.evictions) == (False, 2)


def test_an_end_by_order_says_nothing_of_how_long_such_runs_take(it: Hands) -> None:
    evicted, whole = running(it), running(it, "e1")
    order(it, evicted)
    it.report(noticed(evicted, 1))
    revision = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))[0]
    it.end(evicted, 60, Phase.CANCELLED)
    it.end(whole, 90)
    told = it.db.read_sync(lambda c: planner_feed.read_deltas(c, revision, 100))[1]
    ends = [delta for delta in told if isinstance(delta, RunEnded)]
    assert ends == [RunEnded(evicted, 60_000, whole=False), RunEnded(whole, 90_000)]
