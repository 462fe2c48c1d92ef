"""What decides who is next: use that fades, weights, and what a restart must not forget."""

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
    RunActive,
    RunEnded,
    UsageSet,
)
from tests.unit.placement.board import HOUR_MS, Board, ended, started

DAY_MS = 24 * HOUR_MS


def test_the_enterprise_that_used_less_is_next() -> None:
    board = Board(units=20)
    board.plan(board.job(1, "w1", 10, wall_h=3))
    waiting = [board.job(2, "w1", 10, waited_h=1), board.job(3, "w2", 10)]
    assert started(board.plan(*waiting)) == [3]


def test_a_run_that_ended_early_counts_what_it_used() -> None:
    board = Board(units=20)
    board.plan(board.job(1, "w1", 10, wall_h=20), board.job(2, "w2", 10, wall_h=5))
    ends = [ended(1, used_h=1), ended(2, used_h=4)]
    waiting = [board.job(uid, f"w{uid - 2}", 20) for uid in (3, 4)]
    assert started(board.plan(*waiting, *ends, after_ms=4 * HOUR_MS)) == [3]


def test_use_fades_by_half_in_a_week() -> None:
    for days, first in ((6, 4), (8, 3)):
        board = Board(units=20)
        board.plan(board.job(1, "w1", 20, wall_h=2))
        board.plan(ended(1, used_h=2), after_ms=2 * HOUR_MS)
        board.plan(board.job(2, "w2", 20, wall_h=1), after_ms=days * DAY_MS)
        board.plan(ended(2, used_h=1), after_ms=HOUR_MS)
        waiting = [board.job(uid, f"w{uid - 2}", 20) for uid in (3, 4)]
        assert started(board.plan(*waiting)) == [first], days


def test_past_use_of_a_snapshot_weighs_as_if_it_had_been_seen() -> None:
    """As part of its pool: ten unit-hours of 10 units are more than of 1,000."""
    past = [UsageSet("w1", "a", 36_000, 0), UsageSet("w2", "b", 36_000, 0)]
    board = Board(PoolSet("b", "d", 1_000), *past)
    waiting = [board.job(uid, f"w{uid}", 10, waited_h=2 - uid) for uid in (1, 2)]
    assert started(board.plan(*waiting)) == [2]


def test_past_use_of_a_snapshot_counts_for_the_city() -> None:
    board = Board(UsageSet("w1", "a", 36_000, 0))
    waiting = [board.job(1, "w2", 5, waited_h=1), board.job(2, "e1", 5)]
    assert [start.uid for start in board.plan(*waiting).starts] == [2, 1]


def test_open_runs_of_a_snapshot_count_as_use() -> None:
    option = Option("a", 4, 1, 9 * HOUR_MS)
    board = Board(RunActive(1, "wuhan", "w1", option, 0))
    waiting = [board.job(2, "w1", 6, waited_h=1), board.job(3, "w2", 6)]
    assert started(board.plan(*waiting)) == [3]


def test_weights_divide_use() -> None:
    told: list[Delta] = [
        CitySet("wuhan", 1), EnterpriseSet("small", "wuhan", 1), EnterpriseSet("large", "wuhan", 3),
        PoolSet("a", "c", 10), CityQuotaSet("wuhan", "a", 10),
    ]  # fmt: skip
    core = PlanningCore(CORRIDOR)
    core.load(0, told, 0)

    def job(uid: int, enterprise: str, hours: int) -> JobQueued:
        return JobQueued(uid, "wuhan", enterprise, 0, 0, (Option("a", 10, 1, hours * HOUR_MS),))

    first = core.cycle(0, [job(1, "small", 1)], 1, 0)
    second = core.cycle(1, [RunEnded(1, HOUR_MS), job(2, "large", 2)], 2, HOUR_MS)
    # Two hours of three parts are less than one hour of one part.
    waiting: list[Delta] = [RunEnded(2, 2 * HOUR_MS), job(3, "small", 1), job(4, "large", 1)]
    third = core.cycle(2, waiting, 3, 3 * HOUR_MS)
    assert [started(plan) for plan in (first, second, third)] == [[1], [2], [4]]
