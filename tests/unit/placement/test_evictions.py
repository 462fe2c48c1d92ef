"""Mode evict: whose runs are stopped for whom, how many, and who gets the units."""

import pytest

from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    Evicted,
    EvictionRefused,
    JobQueued,
    JobRemoved,
    Option,
    Plan,
    PoolSet,
    Promised,
    ReclaimSet,
    RunActive,
    RunStarted,
)
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started

EVICT = ReclaimSet("a", "evict", rate_bps=10_000)
MINUTE_MS = 60_000


def soft(board: Board, uid: int, member: str, units: int, priority: int = 0) -> JobQueued:
    """A long interruptible job; a lower uid is queued earlier."""
    job = board.job(uid, member, units, wall_h=24, waited_h=-uid, priority=priority)
    return job._replace(interruptible=True)


def evicted(plan: Plan) -> list[int]:
    """The runs that a plan stops."""
    return [one.uid for one in plan.evictions]


def lent(*runs: tuple[int, int], reclaim: ReclaimSet = EVICT, after_ms: int = HOUR_MS) -> Board:
    """Wuhan, which owns five of ten units, holds these (uid, units), one started a minute."""
    board = Board(reclaim)
    for uid, units in runs:
        assert started(board.plan(soft(board, uid, "w1", units), after_ms=MINUTE_MS)) == [uid]
    board.plan(after_ms=after_ms)
    return board


def test_an_owner_gets_its_units_when_the_evicted_runs_have_ended() -> None:
    board = lent((1, 5), (2, 5))
    plan = board.plan(board.job(3, "e1", 4))
    assert (started(plan), promised(plan)) == ([], {"a": 3})
    (eviction,) = plan.evictions
    assert eviction == (2, "a", 5, 3, EVICT.grace_ms)
    assert plan.reservations[0].start_ms == board.now_ms + EVICT.grace_ms
    # Only a confirmed end frees the units, and nothing is evicted twice for the same job.
    plan = board.plan(board.job(4, "e1", 1), after_ms=EVICT.grace_ms)
    assert (started(plan), evicted(plan)) == ([], [])
    assert started(board.plan(ended(2))) == [3, 4]


def test_nobody_else_takes_what_was_freed() -> None:
    board = lent((1, 5), (2, 3), (3, 2))
    assert evicted(board.plan(board.job(4, "e1", 5))) == [3, 2]
    assert started(board.plan(ended(3), board.job(5, "w2", 2, wall_h=9))) == []
    assert started(board.plan(ended(2))) == [4]


def test_runs_that_are_young_not_interruptible_or_evicted_twice_are_spared() -> None:
    board = Board(EVICT)
    hard = soft(board, 1, "w1", 2)._replace(interruptible=False)
    twice = soft(board, 2, "w1", 2)._replace(evictions=2)
    board.plan(hard, twice, soft(board, 3, "w2", 4))
    board.plan(soft(board, 4, "w2", 2), after_ms=20 * MINUTE_MS)
    plan = board.plan(board.job(5, "e1", 1), after_ms=10 * MINUTE_MS)
    assert evicted(plan) == [3]
    board = Board(EVICT)
    board.plan(hard, twice, soft(board, 3, "w2", 2))
    board.plan(soft(board, 4, "w2", 4), after_ms=20 * MINUTE_MS)
    plan = board.plan(board.job(5, "e1", 4), after_ms=11 * MINUTE_MS)
    assert (evicted(plan), plan.wake_ms) == ([], 50 * MINUTE_MS)
    assert evicted(board.plan(after_ms=18 * MINUTE_MS)) == []
    assert evicted(board.plan(after_ms=MINUTE_MS)) == [4]


def test_a_run_counts_as_old_from_when_it_really_began() -> None:
    board = lent((1, 5), (2, 5), after_ms=0)
    began_ms = board.now_ms + 20 * MINUTE_MS
    board.plan(RunStarted(1, began_ms), RunStarted(2, began_ms), after_ms=20 * MINUTE_MS)
    assert evicted(board.plan(board.job(3, "e1", 5), after_ms=29 * MINUTE_MS)) == []
    assert evicted(board.plan(after_ms=MINUTE_MS)) == [1]


def test_what_holds_freed_units_for_a_while_is_no_reason_to_evict_again() -> None:
    board = lent((1, 5), (2, 3))
    assert evicted(board.plan(board.job(3, "e1", 5))) == [2]
    short = board.job(4, "w2", 2, wall_h=4 / 60)
    assert started(board.plan(short)) == [4]
    plan = board.plan(ended(2), after_ms=MINUTE_MS)
    assert (started(plan), evicted(plan), promised(plan)) == ([], [], {"a": 3})
    assert started(board.plan(ended(4), after_ms=3 * MINUTE_MS)) == [3]


def test_what_a_city_never_owns_does_not_take_the_turn_of_what_it_owns() -> None:
    board = Board(EVICT, at_ms=100 * HOUR_MS)
    board.plan(board.job(1, "w1", 3, wall_h=5), board.job(2, "e1", 5, wall_h=9))
    never, later = board.job(3, "w2", 6, waited_h=9), board.job(4, "w2", 4, waited_h=3)
    plan = board.plan(never, later, PoolSet("a", "c", 10))
    assert [(one.uid, one.start_ms) for one in plan.reservations] == [(4, 105 * HOUR_MS)]


def test_only_who_stays_within_its_nominal_quota_evicts() -> None:
    board = lent((1, 5), (2, 5))
    assert evicted(board.plan(board.job(3, "e1", 6))) == []
    board = lent((1, 5), (2, 4))
    board.plan(board.job(3, "e1", 1, wall_h=24))
    assert evicted(board.plan(board.job(4, "e1", 5))) == []
    assert evicted(board.plan(board.job(5, "e1", 4))) == [2]


def test_who_would_borrow_of_the_corridors_units_evicts_nobody() -> None:
    """Four of ten units are nobody's: others hold more above their quotas than the job lacks."""
    quotas = [CityQuotaSet(city, "a", 3) for city in ("ezhou", "wuhan")]
    board = Board(EVICT, *quotas)
    board.plan(board.job(1, "e1", 1, wall_h=24), soft(board, 2, "w1", 6), soft(board, 3, "w1", 3))
    board.plan(after_ms=HOUR_MS)
    # Promised it is, for when its own city's run ends.
    plan = board.plan(board.job(4, "e1", 3, waited_h=9), PoolSet("a", "c", 10))
    assert (evicted(plan), promised(plan)) == ([], {"a": 4})
    assert evicted(board.plan(ended(1))) == [2]


def test_nothing_is_taken_from_a_city_that_does_not_borrow() -> None:
    board = Board(EVICT)
    told: list[Delta] = [CityQuotaSet(city, "a", 3) for city in ("ezhou", "wuhan")]
    told += [CitySet("x", 1), EnterpriseSet("x1", "x"), CityQuotaSet("x", "a", 4)]
    board.plan(*told)
    x_job = JobQueued(1, "x", "x1", 0, 0, (Option("a", 4, 1, 24 * HOUR_MS),), interruptible=True)
    board.plan(soft(board, 2, "w1", 6), x_job)
    assert evicted(board.plan(board.job(3, "e1", 3), after_ms=HOUR_MS)) == []
    # Of six units that wuhan holds three are its own: to take all for three is no gain.
    board = Board(EVICT)
    board.plan(*told)
    board.plan(soft(board, 2, "w1", 3), soft(board, 4, "w1", 3), x_job)
    assert evicted(board.plan(board.job(3, "e1", 3), after_ms=HOUR_MS)) == [2]


def test_after_a_cut_what_a_city_holds_of_its_own_is_spared() -> None:
    board = lent((1, 1), (2, 2), (3, 3))
    # Eight units are left of the ten that the cities own; of six that wuhan holds one is borrowed.
    plan = board.plan(PoolSet("a", "c", 8), board.job(4, "e1", 5))
    assert (evicted(plan), promised(plan)) == ([], {"a": 4})


def test_the_order_of_victims() -> None:
    # Least below its city's nominal quota, then lower priority, then the younger run.
    board = lent((1, 2), (2, 6), (3, 2))
    assert evicted(board.plan(board.job(4, "e1", 2))) == [3]
    board = Board(EVICT)
    board.plan(soft(board, 1, "w1", 5, priority=5), soft(board, 2, "w1", 5, priority=6))
    board.plan(after_ms=HOUR_MS)
    assert evicted(board.plan(board.job(4, "e1", 5))) == [1]


def test_what_is_not_needed_is_spared_again() -> None:
    board = Board(EVICT)
    runs = [soft(board, 1, "w1", 1), soft(board, 2, "w1", 5, priority=1), soft(board, 3, "w2", 4)]
    board.plan(*runs[:2], runs[2]._replace(interruptible=False))
    # The one of lower priority comes first; with the other, which must end in any case, it may
    # stay.
    assert evicted(board.plan(board.job(4, "e1", 5), after_ms=HOUR_MS)) == [2]


def test_the_rate_bounds_what_is_evicted() -> None:
    tenth = ReclaimSet("a", "evict", rate_bps=2_000, rate_ms=10 * MINUTE_MS)
    board = lent((1, 5), (2, 2), (3, 2), (4, 1), reclaim=tenth)
    assert evicted(board.plan(board.job(5, "e1", 1))) == [4]
    board.plan(ended(4), after_ms=MINUTE_MS)
    plan = board.plan(board.job(6, "e1", 2))
    assert (evicted(plan), plan.wake_ms) == ([], board.now_ms + 9 * MINUTE_MS)
    assert evicted(board.plan(after_ms=9 * MINUTE_MS)) == [3]
    # Three at once are more than the rate ever allows.
    board = lent((1, 5), (2, 2), (3, 3), reclaim=tenth)
    plan = board.plan(board.job(5, "e1", 3))
    assert (evicted(plan), plan.wake_ms) == ([], None)


def crowd(rate_bps: int, *units: int) -> Board:
    """Wuhan, which owns four of ten units, holds them all."""
    board = Board(
        ReclaimSet("a", "evict", rate_bps=rate_bps),
        CityQuotaSet("ezhou", "a", 6), CityQuotaSet("wuhan", "a", 4),
    )  # fmt: skip
    board.plan(*(soft(board, uid, "w1", n, priority=uid) for uid, n in enumerate(units, 1)))
    board.plan(after_ms=HOUR_MS)
    return board


def test_smaller_runs_are_evicted_where_the_first_would_exceed_the_rate() -> None:
    # The first of the order has the least priority. It is alone within the rate of five, not of
    # four.
    board = crowd(5_000, 5, 3, 1, 1)
    assert evicted(board.plan(board.job(9, "e1", 4))) == [1]
    board = crowd(4_000, 5, 3, 1, 1)
    assert evicted(board.plan(board.job(9, "e1", 4))) == [3, 2]


def test_a_set_within_the_rate_is_found_that_does_not_begin_with_the_first() -> None:
    # The first set is 4 and 3, seven units for a job of six; 3 and 3 are within the rate of six.
    assert evicted(crowd(7_000, 4, 3, 3).plan(*asking(6))) == [1, 2]
    assert evicted(crowd(6_000, 4, 3, 3).plan(*asking(6))) == [2, 3]
    # Within five nothing will do: nobody is evicted in vain.
    assert evicted(crowd(5_000, 4, 3, 3).plan(*asking(6))) == []


def asking(units: int) -> list[Delta]:
    """Ezhou asks for what it owns."""
    return [JobQueued(9, "ezhou", "e1", 0, HOUR_MS, (Option("a", units, 1, HOUR_MS),))]


def test_another_planner_knows_the_rate_of_late() -> None:
    tenth = ReclaimSet("a", "evict", rate_bps=2_000, rate_ms=10 * MINUTE_MS)
    board = lent((1, 5), (2, 2), (3, 3), reclaim=tenth)
    late = [Evicted(8, "a", 1, board.now_ms - 4 * MINUTE_MS), Evicted(9, "a", 9, -HOUR_MS)]
    plan = board.plan(*late, board.job(5, "e1", 2))
    assert (evicted(plan), plan.wake_ms) == ([], board.now_ms + 6 * MINUTE_MS)
    assert evicted(board.plan(after_ms=6 * MINUTE_MS)) == [2]


def test_a_refused_eviction_does_not_undo_one_of_before() -> None:
    rate = ReclaimSet("a", "evict", rate_bps=4_000, rate_ms=10 * MINUTE_MS, run_min_ms=0)
    board = lent((1, 5), (3, 3), (2, 2), reclaim=rate)
    assert evicted(board.plan(board.job(4, "e1", 2, wall_h=9))) == [2]
    assert started(board.plan(ended(2), JobRemoved(3))) == [4]
    # The job waits again, starts, and its second eviction is refused: two units count still.
    again = soft(board, 2, "w1", 2)._replace(evictions=1)
    assert started(board.plan(again)) == [2]
    assert evicted(board.plan(board.job(5, "e1", 3), after_ms=MINUTE_MS)) == [2]
    plan = board.plan(EvictionRefused(2))
    assert (evicted(plan), plan.wake_ms) == ([], board.now_ms + 9 * MINUTE_MS)


def test_a_plan_evicts_nothing_that_it_starts() -> None:
    board = Board(ReclaimSet("a", "evict", rate_bps=10_000, run_min_ms=0))
    hard = soft(board, 1, "w1", 5)._replace(interruptible=False)
    board.plan(hard, soft(board, 2, "w1", 1))
    # Job 4 is short enough to run before what job 3 is promised; then both would have to go.
    short = board.job(4, "w2", 4)._replace(interruptible=True)
    plan = board.plan(board.job(3, "e1", 5, wall_h=9), short, after_ms=HOUR_MS)
    assert (started(plan), evicted(plan), promised(plan)) == ([4], [], {"a": 3})
    assert plan.wake_ms == board.now_ms + 1
    assert sorted(evicted(board.plan(after_ms=1))) == [2, 4]


def test_one_set_of_evictions_at_a_time() -> None:
    board = lent((1, 5), (2, 3), (3, 2))
    assert evicted(board.plan(board.job(4, "e1", 2))) == [3]
    plan = board.plan(JobRemoved(4), board.job(5, "e1", 3))
    assert (evicted(plan), promised(plan)) == ([], {"a": 5})
    plan = board.plan(ended(3), after_ms=MINUTE_MS)
    assert (started(plan), evicted(plan)) == ([], [2])


def test_an_eviction_that_was_not_begun_is_tried_with_another_run() -> None:
    board = lent((1, 5), (2, 2), (3, 3))
    assert evicted(board.plan(board.job(4, "e1", 2))) == [3]
    plan = board.plan(EvictionRefused(3))
    assert evicted(plan) == [2]
    assert evicted(board.plan(EvictionRefused(2))) == [1]
    plan = board.plan(EvictionRefused(1))
    assert (evicted(plan), plan.wake_ms) == ([], board.now_ms + EVICT.rate_ms)
    # The runs that go on end at their own limits again.
    assert plan.reservations[0].start_ms > board.now_ms + 20 * HOUR_MS
    assert evicted(board.plan(after_ms=EVICT.rate_ms)) == [3]


def test_an_eviction_refused_after_the_promise_is_gone_bars_no_other() -> None:
    board = lent((1, 5), (2, 5))
    assert evicted(board.plan(board.job(3, "e1", 5))) == [2]
    board.plan(PoolSet("a", "c", 10, open=False), EvictionRefused(2))
    plan = board.plan(PoolSet("a", "c", 10))
    assert (evicted(plan), promised(plan)) == ([1], {"a": 3})


def test_another_planner_knows_what_is_being_evicted_and_for_whom() -> None:
    board = Board(EVICT)
    begun_ms, due_ms = -HOUR_MS, 3 * MINUTE_MS
    option = Option("a", 5, 1, 24 * HOUR_MS)
    runs: list[Delta] = [
        RunActive(1, "wuhan", "w1", option, begun_ms, interruptible=True),
        RunActive(
            2, "wuhan", "w1", option, begun_ms, interruptible=True, ending_ms=due_ms, ending_for=3
        ),
    ]
    plan = board.plan(*runs, board.job(3, "e1", 5), board.job(4, "e1", 1), Promised(3, "a", 5))
    assert (evicted(plan), promised(plan)) == ([], {"a": 3})
    assert plan.reservations[0].start_ms == due_ms
    assert started(board.plan(ended(2), after_ms=due_ms)) == [3]


@pytest.mark.parametrize("mode", ["churn", "lease"])
def test_other_modes_evict_nothing(mode: str) -> None:
    board = lent((1, 4), (2, 1), reclaim=ReclaimSet("a", mode, lease_ms=99 * HOUR_MS))
    board.plan(soft(board, 3, "w2", 5), after_ms=HOUR_MS)
    assert evicted(board.plan(board.job(4, "e1", 5), after_ms=HOUR_MS)) == []


def test_a_closed_pool_evicts_nothing() -> None:
    board = lent((1, 5), (2, 5))
    assert evicted(board.plan(PoolSet("a", "c", 10, open=False), board.job(3, "e1", 5))) == []
    assert evicted(board.plan(PoolSet("a", "c", 10))) == [2]
