"""Mode lease: what borrows is short, and nothing new borrows while an owner is blocked."""

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import CityQuotaSet, JobRemoved, PoolSet, ReclaimSet, StopSet
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started

LEASE = ReclaimSet("a", "lease", lease_ms=2 * HOUR_MS)
#: The same with another word: whoever waits is looked at.
LEASE_AGAIN = LEASE._replace(grace_ms=1)


def test_a_start_that_would_borrow_must_end_within_the_lease() -> None:
    board = Board(LEASE)
    long, short = board.job(1, "w1", 7, wall_h=3), board.job(2, "w2", 7, wall_h=2)
    assert started(board.plan(long, short)) == [2]
    explained = board.core.explain(1, 0)
    assert explained is not None
    assert explained.reason.code == ReasonCode.LEASE_TOO_LONG
    # Within its nominal quota a job may be as long as it likes.
    assert started(board.plan(ended(2), board.job(3, "w1", 5, wall_h=99))) == [3]


def test_of_a_long_job_only_what_would_borrow_is_shut_out() -> None:
    board = Board(LEASE)
    assert started(board.plan(board.job(1, "w1", 3, wall_h=9))) == [1]
    waiting = [board.job(3, "w1", 3, wall_h=9), board.job(4, "w2", 2, wall_h=9)]
    assert started(board.plan(*waiting)) == [4]
    assert started(board.plan(ended(1))) == [3]


def test_while_an_owner_is_blocked_nothing_new_borrows() -> None:
    board = Board(LEASE)
    board.plan(board.job(1, "w1", 4, wall_h=1), board.job(2, "w2", 4, wall_h=2))
    # ezhou owns five units; two are left.
    owner = board.job(3, "e1", 5, wall_h=9)
    assert started(board.plan(owner, board.job(4, "w1", 1, wall_h=0.5))) == []
    assert promised(board.plan()) == {"a": 3}
    # What stays within its city's quota may pass, what borrows may not, however short.
    assert started(board.plan(ended(1), board.job(5, "w2", 1, wall_h=0.5))) == [3, 4]
    assert started(board.plan(ended(2))) == [5]


def test_borrowing_goes_on_when_the_owner_goes() -> None:
    for gone in (JobRemoved(3), StopSet("enterprises/e1", "HOLD"), CityQuotaSet("ezhou", "a", 4)):
        board = Board(LEASE)
        board.plan(board.job(1, "w1", 8, wall_h=2))
        board.plan(board.job(3, "e1", 5, wall_h=9), board.job(4, "w1", 1, wall_h=0.5))
        assert started(board.plan(after_ms=1)) == []
        assert started(board.plan(gone)) == [4], gone


def test_who_would_borrow_is_promised_nothing() -> None:
    board = Board(LEASE)
    board.plan(board.job(1, "e1", 8, wall_h=2))
    assert promised(board.plan(board.job(2, "w1", 6, wall_h=1, waited_h=200))) == {}
    assert promised(board.plan(board.job(3, "w2", 5, wall_h=9))) == {"a": 3}


def test_of_several_options_none_is_promised_on_which_a_job_would_borrow_for_long() -> None:
    board = Board(LEASE, PoolSet("b", "d", 10), CityQuotaSet("wuhan", "b", 20))
    board.plan(board.job(1, "w1", 10, wall_h=99, flavors=("b",)), board.job(2, "w1", 1, wall_h=20))
    plan = board.plan(board.job(3, "w1", 5, wall_h=3, flavors=("a", "b")))
    assert (started(plan), promised(plan)) == ([], {"b": 3})


def test_borrowing_goes_on_when_an_owner_goes_that_was_promised_nothing() -> None:
    board = Board(LEASE, at_ms=100 * HOUR_MS)
    board.plan(board.job(1, "w1", 3, wall_h=9))
    board.plan(board.job(2, "w1", 5, wall_h=1))
    # The pool is promised to a job of wuhan's that waits for wuhan's own units.
    assert promised(board.plan(board.job(3, "w2", 4, wall_h=9, waited_h=3), LEASE_AGAIN)) == {
        "a": 3
    }
    waiting = [board.job(4, "e1", 5, wall_h=9), board.job(5, "w1", 1, wall_h=0.5)]
    plan = board.plan(*waiting)
    assert (started(plan), promised(plan)) == ([], {"a": 3})
    assert started(board.plan(JobRemoved(4))) == [5]


def test_a_promised_owner_is_not_pushed_above_its_citys_quota_by_its_own() -> None:
    board = Board(LEASE)
    board.plan(board.job(1, "e1", 6, wall_h=2))
    assert promised(board.plan(board.job(2, "w1", 5, wall_h=9))) == {"a": 2}
    # It would fit beside the promise (10 units, of which five are promised), but not as wuhan's.
    assert started(board.plan(board.job(3, "w2", 1, wall_h=3))) == []
    assert started(board.plan(board.job(4, "w2", 1, wall_h=2))) == [4]


def test_a_long_job_waits_for_its_own_cities_runs_and_is_promised_that() -> None:
    board = Board(LEASE, at_ms=100 * HOUR_MS)
    board.plan(board.job(1, "w1", 3, wall_h=5))
    board.plan(board.job(2, "w2", 4, wall_h=9, waited_h=3))
    plan = board.plan(LEASE_AGAIN)
    assert [(one.uid, one.start_ms) for one in plan.reservations] == [(2, 105 * HOUR_MS)]


def test_the_lease_ends_with_the_mode() -> None:
    board = Board(LEASE)
    assert started(board.plan(board.job(1, "w1", 7, wall_h=3))) == []
    assert started(board.plan(ReclaimSet("a"))) == [1]
