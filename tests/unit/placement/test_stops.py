"""A stopped city or enterprise starts nothing and is promised nothing; its runs go on."""

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import CityQuotaSet, EnterpriseQuotaSet, StopSet
from tests.unit.placement.board import Board, ended, promised, started


def test_a_city_on_hold_starts_nothing_until_it_is_opened() -> None:
    board = Board()
    assert started(board.plan(board.job(1, "w1", 4))) == [1]
    waiting = [board.job(2, "w1", 1), board.job(3, "w2", 1), board.job(4, "e1", 1)]
    plan = board.plan(StopSet("cities/wuhan", "HOLD"), *waiting)
    assert started(plan) == [4]
    explained = board.core.explain(2, board.now_ms)
    assert explained is not None
    assert (explained.reason.code, explained.reason.node) == (
        ReasonCode.QUEUE_HELD, "cities/wuhan",
    )  # fmt: skip
    assert board.core.counts(0).reasons == {("wuhan", "a", ReasonCode.QUEUE_HELD): 2}
    assert started(board.plan(board.job(5, "w1", 1))) == []
    assert sorted(started(board.plan(StopSet("cities/wuhan", "OPEN")))) == [2, 3, 5]


def test_an_enterprise_that_drains_loses_its_promise_and_bars_nobody() -> None:
    board = Board(CityQuotaSet("ezhou", "a", 10))
    board.plan(board.job(1, "w1", 8, wall_h=4))
    assert promised(board.plan(board.job(2, "e1", 10))) == {"a": 2}
    plan = board.plan(StopSet("enterprises/e1", "DRAIN"), board.job(3, "w2", 2, wall_h=9))
    assert (started(plan), promised(plan)) == ([3], {})
    plan = board.plan(ended(1), ended(3))
    assert started(plan) == []
    assert started(board.plan(StopSet("enterprises/e1", "OPEN"))) == [2]


def test_an_enterprise_stays_stopped_when_its_city_opens() -> None:
    board = Board()
    stops = [StopSet("cities/wuhan", "HOLD"), StopSet("enterprises/w1", "HOLD")]
    board.plan(*stops, board.job(1, "w1", 1), board.job(2, "w2", 1))
    assert started(board.plan(StopSet("cities/wuhan", "OPEN"))) == [2]
    assert started(board.plan(StopSet("enterprises/w1", "OPEN"))) == [1]


def test_what_a_city_keeps_for_an_enterprise_waits_for_it() -> None:
    board = Board(EnterpriseQuotaSet("w2", "a", None, 4))
    assert started(board.plan(board.job(1, "w1", 7), board.job(2, "e1", 5))) == [2]
    assert started(board.plan(board.job(3, "w2", 4))) == [3]
    # Another snapshot word takes the guarantee away again.
    assert started(board.plan(ended(2), ended(3), EnterpriseQuotaSet("w2", "a"))) == [1]
