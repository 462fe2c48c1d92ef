"""Mode churn, the default: what frees goes first to cities below their nominal quota."""

import pytest

from scheduler.placement.model import PoolSet, UsageSet
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started

#: Ezhou used much of late, wuhan nothing: by use alone wuhan would be first.
USED = UsageSet("e1", "a", 10**9, 0)


@pytest.mark.parametrize("units", [1, 3, 5])
def test_what_frees_goes_first_to_a_city_below_its_quota(units: int) -> None:
    board = Board(USED)
    board.plan(board.job(1, "w1", 5, wall_h=9), board.job(2, "w2", 5, wall_h=9))
    board.plan(board.job(3, "w1", 1, waited_h=90), board.job(4, "e1", units))
    assert started(board.plan(ended(1)))[0] == 4


def test_a_blocked_owner_is_promised_before_an_older_borrower() -> None:
    board = Board(USED, at_ms=200 * HOUR_MS)
    board.plan(board.job(1, "w1", 10, wall_h=9))
    waiting = [board.job(2, "w2", 4, waited_h=40), board.job(3, "e1", 4, waited_h=40)]
    assert promised(board.plan(*waiting, PoolSet("a", "c", 10))) == {"a": 3}
