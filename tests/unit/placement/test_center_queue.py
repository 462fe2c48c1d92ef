"""No more is sent to a center than may wait in its own queue: the rest waits here, in our order."""

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import Option as Opt
from scheduler.placement.model import PoolSet, RunActive, RunStarted
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started


def deep(queue_max: int | None, units: int = 10) -> PoolSet:
    """The pool with a limit of what may not have begun."""
    return PoolSet("a", "c", units, queue_max=queue_max)


def test_no_more_is_sent_until_the_center_begins_some() -> None:
    board = Board(deep(2))
    jobs = [board.job(uid, "w1", 1, waited_h=9 - uid) for uid in range(1, 6)]
    assert started(board.plan(*jobs)) == [1, 2]
    assert started(board.plan()) == []
    explained = board.core.explain(3, board.now_ms)
    assert explained is not None
    assert (explained.reason.code, explained.reason.node) == (ReasonCode.CENTER_QUEUE, "centers/c")
    assert started(board.plan(RunStarted(1, board.now_ms))) == [3]
    assert started(board.plan(RunStarted(1, board.now_ms))) == [], "it had begun"
    assert started(board.plan(ended(2))) == [4], "it is gone without having begun"


def test_who_comes_meanwhile_and_goes_first_is_sent_first() -> None:
    """The reason for the limit: the center would have started them as they came."""
    board = Board(deep(1))
    jobs = [board.job(uid, "w1", 1, waited_h=9 - uid) for uid in (1, 2)]
    assert started(board.plan(*jobs)) == [1]
    assert started(board.plan(board.job(3, "w1", 1, priority=5))) == []
    assert started(board.plan(RunStarted(1, board.now_ms))) == [3]


def test_the_other_flavor_of_a_job_is_taken_if_the_first_is_full() -> None:
    board = Board(deep(1), PoolSet("b", "d", 10))
    told = [board.job(uid, "w1", 1, flavors=("a", "b"), waited_h=9 - uid) for uid in (1, 2)]
    plan = board.plan(*told)
    assert [(one.uid, one.option.flavor) for one in plan.starts] == [(1, "a"), (2, "b")]


def test_an_emergency_waits_for_the_queue_too_and_is_next() -> None:
    board = Board(deep(1))
    assert started(board.plan(board.job(1, "w1", 1), board.job(2, "w1", 1))) == [1]
    assert started(board.plan(board.job(3, "e1", 1)._replace(emergency=True))) == []
    assert started(board.plan(RunStarted(1, board.now_ms))) == [3]


def test_a_promise_stands_while_the_queue_is_full() -> None:
    board = Board(deep(1))
    assert started(board.plan(board.job(1, "w1", 6, wall_h=9))) == [1]
    plan = board.plan(board.job(2, "e1", 5), RunStarted(1, board.now_ms))
    assert (started(plan), promised(plan)) == ([], {"a": 2})
    assert started(board.plan(board.job(3, "w2", 1))) == [3], "it ends before the promise"
    plan = board.plan(ended(1))
    assert (started(plan), promised(plan)) == ([], {"a": 2})
    assert started(board.plan(RunStarted(3, board.now_ms))) == [2]


def test_a_limit_that_is_lifted_or_cut_counts_at_once() -> None:
    board = Board(deep(1))
    jobs = [board.job(uid, "w1", 1, waited_h=9 - uid) for uid in range(1, 6)]
    assert started(board.plan(*jobs)) == [1]
    assert started(board.plan(deep(3))) == [2, 3]
    assert started(board.plan(deep(2), RunStarted(1, board.now_ms))) == []
    assert started(board.plan(deep(None))) == [4, 5]


def test_a_planner_that_takes_over_knows_what_has_not_begun() -> None:
    option = Opt("a", 1, 1, HOUR_MS)
    runs = [RunActive(uid, "wuhan", "w1", option, 0, begun=uid != 8) for uid in (8, 9)]
    board = Board(deep(2), *runs)
    jobs = [board.job(uid, "w1", 1, waited_h=9 - uid) for uid in (1, 2)]
    assert started(board.plan(*jobs)) == [1]
    assert started(board.plan(RunStarted(8, 0))) == [2]


def test_starts_are_foreseen_as_if_the_center_began_them_at_once() -> None:
    board = Board(deep(1, 1))
    board.plan(*[board.job(uid, "w1", 1, waited_h=9 - uid) for uid in (1, 2)])
    explained = board.core.explain(2, board.now_ms)
    assert explained is not None
    assert explained.reason.start_latest_ms == HOUR_MS
