"""Priorities that enterprises give their own jobs mean nothing to other enterprises and cities."""

from tests.unit.placement.board import Board, started


def test_priority_is_nothing_between_cities() -> None:
    board = Board()
    older = board.job(1, "e1", 6, waited_h=0.1)
    assert started(board.plan(board.job(2, "w1", 6, priority=1000), older)) == [1]


def test_priority_is_nothing_between_enterprises() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 4, wall_h=9), board.job(2, "e1", 2, wall_h=9))
    # W1 has used more of late, whatever it says of its next job.
    waiting = [board.job(3, "w1", 4, priority=1000, waited_h=0.1), board.job(4, "w2", 4)]
    assert started(board.plan(*waiting)) == [4]
