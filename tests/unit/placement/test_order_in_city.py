"""In what order jobs start: what its city owns and used, then use and turns inside one."""

from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    JobQueued,
    Option,
    PoolSet,
    RunHistory,
    UsageSet,
)
from tests.unit.placement.board import HOUR_MS, Board, ended, started

DAY_MS = 24 * HOUR_MS


def test_a_city_below_its_nominal_is_first_whatever_it_used() -> None:
    for held, first in ((9, 3), (10, 2)):
        board = Board(UsageSet("e1", "a", 10**6, 0), units=20)
        board.plan(board.job(1, "e1", held, wall_h=9), board.job(9, "w1", 10, wall_h=9))
        waiting = [board.job(2, "w2", 1), board.job(3, "e1", 1)]
        found = started(board.plan(*waiting, PoolSet("a", "c", 40)))
        assert found[0] == first, held


def test_above_its_nominal_the_city_that_used_less_of_the_flavor_is_first() -> None:
    quotas = [CityQuotaSet(city, "a", 0) for city in ("ezhou", "wuhan")]
    used = [UsageSet("e1", "a", 2_000, 0), UsageSet("w1", "a", 1_000, 0)]
    board = Board(*quotas, *used)
    waiting = [board.job(1, "e1", 2, waited_h=1), board.job(2, "w2", 8)]
    assert started(board.plan(*waiting)) == [2, 1]
    # What was used of other flavors does not count between cities.
    other = UsageSet("w1", "b", 10**9, 0)
    board = Board(PoolSet("b", "d", 10), *quotas, *used, other)
    waiting = [board.job(1, "e1", 2, waited_h=1), board.job(2, "w2", 8)]
    assert started(board.plan(*waiting)) == [2, 1]


def test_use_of_cities_counts_by_weight_and_fades_by_half_in_two_days() -> None:
    quotas = [CityQuotaSet(city, "a", 0) for city in ("ezhou", "wuhan")]
    for weight, days, first in ((1, 1, 2), (1, 3, 1), (2, 3, 2)):
        # Ezhou used twice as much, some days before wuhan did.
        used = [UsageSet("e1", "a", 2_000, 0), UsageSet("w1", "a", 1_000, days * DAY_MS)]
        board = Board(*quotas, CitySet("wuhan", weight), *used, at_ms=days * DAY_MS)
        waiting = [board.job(1, "e1", 2), board.job(2, "w2", 8)]
        assert started(board.plan(*waiting))[0] == first, (weight, days)


def test_a_snapshot_says_what_a_cities_use_faded_to() -> None:
    quotas = [CityQuotaSet(city, "a", 0) for city in ("ezhou", "wuhan")]
    used = [UsageSet("e1", "a", 1_000, 0), UsageSet("w1", "a", 2_000, 0, 500)]
    board = Board(*quotas, *used)
    assert started(board.plan(board.job(1, "e1", 2), board.job(2, "w2", 8))) == [2, 1]


def test_inside_a_city_the_enterprise_that_used_least_is_first() -> None:
    board = Board(units=20)
    board.plan(board.job(1, "w1", 2))
    waiting = [board.job(2, "w2", 18), board.job(3, "w1", 1, waited_h=9)]
    assert started(board.plan(*waiting)) == [2]


def test_priority_comes_first_inside_an_enterprise() -> None:
    board = Board(units=20)
    waiting = [board.job(1, "w1", 2, waited_h=5), board.job(2, "w1", 16, priority=50)]
    assert started(board.plan(*waiting)) == [2, 1]


def test_the_turn_comes_twenty_limits_after_submission() -> None:
    for waited_h, first in ((19, 2), (21, 1)):
        board = Board(units=20)
        waiting = [board.job(1, "w1", 4, wall_h=2, waited_h=waited_h), board.job(2, "w1", 4)]
        assert started(board.plan(*waiting))[0] == first, waited_h


def test_runs_of_a_user_that_were_short_bring_all_his_turns_forward() -> None:
    """His last two runs count, whatever their shapes: a mean of a quarter of an hour."""

    def job(uid: int, user: str) -> JobQueued:
        return JobQueued(uid, "wuhan", "w1", 0, 0, (Option("a", 4, 1, HOUR_MS),), user=user)

    history = [
        RunHistory("w1", "quick", "b", 1, 9 * HOUR_MS, minutes * 60_000) for minutes in (50, 29, 1)
    ]
    assert started(Board(units=20).plan(job(1, "slow"), job(2, "quick"))) == [1, 2]
    assert started(Board(*history, units=20).plan(job(1, "slow"), job(2, "quick"))) == [2, 1]


def test_what_a_run_took_moves_jobs_that_wait_already() -> None:
    board = Board(units=4)

    def job(uid: int, user: str, wall_h: int) -> JobQueued:
        return JobQueued(
            uid, "wuhan", "w1", 0, 0, (Option("a", 4, 1, wall_h * HOUR_MS),), user=user
        )

    board.plan(job(1, "quick", 1))
    board.plan(job(2, "slow", 2), job(3, "quick", 3))
    assert started(board.plan(ended(1, used_h=0.1), after_ms=HOUR_MS)) == [3]


def test_one_that_is_shut_out_makes_room_for_the_next_enterprise() -> None:
    """W2 used less, but its job no longer fits."""
    board = Board(units=20)
    board.plan(board.job(1, "w1", 12))
    assert started(board.plan(board.job(2, "w2", 9), board.job(3, "w1", 8))) == [3]
