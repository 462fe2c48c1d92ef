"""In what order jobs start: halves of starts between cities, width and turns inside one."""

from scheduler.placement.model import CityQuotaSet, CitySet, Delta
from tests.unit.placement.board import Board, ended, started


def test_a_start_counts_by_half_between_cities() -> None:
    """Of 20 units wuhan holds 4, ezhou none: 2 more of wuhan's are as 10 of ezhou's."""
    for wide, first in ((9, 3), (11, 2)):
        board = Board(units=20)
        board.plan(board.job(1, "w1", 4, wall_h=9), board.job(9, "w2", 16))
        waiting = [board.job(2, "w2", 2), board.job(3, "e1", wide)]
        assert started(board.plan(*waiting, ended(9)))[0] == first, wide


def test_weights_and_nominals_count_between_cities() -> None:
    """Two units above a nominal are less for a city of three times the weight."""
    quotas: list[Delta] = [
        CityQuotaSet("ezhou", "a", 2),
        CityQuotaSet("wuhan", "a", 2),
        CitySet("wuhan", 3),
    ]
    board = Board(*quotas, units=20)
    # Halfway wuhan would be 2 above its nominal (per 3), ezhou 1 above (per 1).
    waiting = [board.job(1, "e1", 6), board.job(2, "w1", 8)]
    assert started(board.plan(*waiting)) == [2, 1]


def test_inside_a_city_the_narrowest_band_starts_first() -> None:
    board = Board(units=20)
    board.plan(board.job(1, "w1", 10))
    # By use w2 is next, but its job is twice as wide; 5 and 7 are of one band.
    waiting = [board.job(2, "w2", 8, waited_h=5), board.job(3, "w1", 3)]
    assert started(board.plan(*waiting))[0] == 3
    board = Board(units=20)
    board.plan(board.job(1, "w1", 10))
    waiting = [board.job(2, "w2", 7), board.job(3, "w1", 5, waited_h=5)]
    assert started(board.plan(*waiting))[0] == 2


def test_priority_comes_before_width_inside_an_enterprise() -> None:
    board = Board(units=20)
    waiting = [board.job(1, "w1", 2, waited_h=5), board.job(2, "w1", 16, priority=50)]
    assert started(board.plan(*waiting)) == [2, 1]


def test_the_turn_comes_four_limits_after_submission() -> None:
    for waited_h, first in ((3, 2), (5, 1)):
        board = Board(units=20)
        waiting = [board.job(1, "w1", 4, wall_h=2, waited_h=waited_h), board.job(2, "w1", 4)]
        assert started(board.plan(*waiting))[0] == first, waited_h


def test_a_band_that_is_shut_out_makes_room_for_the_next_enterprise() -> None:
    """W1 first stands with a job that no longer fits; w2's wider one is then in order by use."""
    board = Board(units=20)
    board.plan(board.job(1, "w1", 10))
    waiting = [board.job(2, "w1", 8, waited_h=3), board.job(3, "w2", 9), board.job(4, "w1", 1)]
    assert started(board.plan(*waiting)) == [4, 3]
