"""Emergencies come before all other jobs of all cities, within their quotas."""

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import CityQuotaSet, JobRemoved, ReclaimSet, StartRefused
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started


def test_an_emergency_starts_before_all_others() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10))
    waiting = [board.job(2, "w1", 4, waited_h=5), board.job(3, "w2", 10)._replace(emergency=True)]
    waiting.append(board.job(4, "w2", 4, priority=99))
    assert started(board.plan(*waiting, ended(1))) == [3]
    assert started(board.plan(ended(3))) == [2, 4]


def test_an_emergency_takes_the_promise_from_another_job() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10, wall_h=3))
    assert promised(board.plan(board.job(2, "w2", 4))) == {"a": 2}
    emergency = board.job(3, "w1", 10)._replace(emergency=True)
    plan = board.plan(emergency)
    assert promised(plan) == {"a": 3}
    assert started(board.plan(ended(1))) == [3]


def test_an_emergency_that_fits_starts_though_it_delays_a_promise() -> None:
    board = Board(CityQuotaSet("wuhan", "a", 14))
    board.plan(board.job(1, "e1", 6, wall_h=2))
    board.plan(board.job(2, "w2", 10))
    emergency = board.job(3, "w1", 4, wall_h=9)
    assert started(board.plan(emergency)) == []
    plan = board.plan(JobRemoved(3), emergency._replace(uid=4, emergency=True))
    assert started(plan) == [4]
    assert {one.uid: one.start_ms for one in plan.reservations} == {2: 9 * HOUR_MS}


def test_of_two_emergencies_the_one_of_higher_priority_then_the_older_is_first() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10))
    jobs = [
        board.job(2, "e1", 6, waited_h=1), board.job(3, "w1", 6, waited_h=2),
        board.job(4, "w2", 6, priority=1),
    ]  # fmt: skip
    board.plan(*(job._replace(emergency=True) for job in jobs))
    order = []
    for last in (1, 4, 3):
        order += started(board.plan(ended(last)))
    assert order == [4, 3, 2]


def test_quotas_bind_emergencies() -> None:
    board = Board(CityQuotaSet("ezhou", "a", 5, lend_limit_units=0))
    board.plan(board.job(1, "w2", 3, wall_h=9))
    # Seven units are free, of which five are guaranteed to ezhou.
    emergency = board.job(2, "w1", 4)._replace(emergency=True)
    assert started(board.plan(emergency, board.job(3, "e1", 5))) == [3]
    assert started(board.plan(ended(1))) == [2]


def test_an_emergency_that_was_refused_is_one_when_it_is_tried_again() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10)._replace(emergency=True))
    board.plan(StartRefused(1, PendingReason(ReasonCode.BUDGET_CITY), HOUR_MS))
    waiting = board.job(2, "e1", 10)
    assert started(board.plan(waiting, after_ms=HOUR_MS)) == [1]


def test_nobody_takes_units_for_which_runs_are_evicted() -> None:
    board = Board(ReclaimSet("a", "evict", rate_bps=10_000))
    runs = [board.job(uid, "w1", 5, wall_h=9, waited_h=-uid) for uid in (1, 4)]
    board.plan(*(job._replace(interruptible=True) for job in runs))
    plan = board.plan(board.job(2, "e1", 4), after_ms=HOUR_MS)
    assert [one.uid for one in plan.evictions] == [1]
    emergency = board.job(3, "e1", 5)._replace(emergency=True)
    assert promised(board.plan(emergency)) == {"a": 2}
    assert started(board.plan(ended(1))) == [2]
