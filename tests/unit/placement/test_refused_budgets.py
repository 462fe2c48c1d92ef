"""What admission refuses for want of unit-seconds: its class waits, others go on."""

import pytest

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import StartRefused, Unparked
from tests.unit.placement.board import HOUR_MS, Board, started

CODES = (
    ReasonCode.BUDGET_ENTERPRISE,
    ReasonCode.BUDGET_CITY,
    ReasonCode.NEXT_PERIOD_NOT_OPEN,
)


@pytest.mark.parametrize("code", CODES)
def test_a_class_without_budget_waits_until_its_citys_budget_changes(code: ReasonCode) -> None:
    board = Board()
    alike = [board.job(uid, "e1", 2) for uid in (1, 2, 3)]
    assert started(board.plan(alike[0])) == [1]
    reason = PendingReason(code, "cities/ezhou", "a", 100, 90, 20, 10)
    refused = StartRefused(1, reason, board.now_ms + 9 * HOUR_MS)
    assert started(board.plan(refused, alike[1], board.job(4, "w1", 2))) == [4]
    assert started(board.plan(alike[2])) == [], "it would be refused too"
    assert started(board.plan(board.job(5, "e1", 1))) == [5], "another size may fit"
    explained = board.core.explain(2, board.now_ms)
    assert explained is not None
    assert explained.reason.code is code
    assert sorted(started(board.plan(Unparked("ezhou")))) == [1, 2, 3]
