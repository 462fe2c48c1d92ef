"""Who is over budget goes last: others start first, whatever the order, and promises are theirs."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.model import CityQuotaSet, PoolSet, ReclaimSet, Start, UsedUp
from tests.unit.placement.board import Board, ended, promised, started

W1 = UsedUp((("enterprises/w1", "a"),))
WUHAN = UsedUp((("cities/wuhan", "a"),))


def test_an_enterprise_over_budget_goes_after_all_others_of_its_city() -> None:
    board = Board(W1)
    waiting = [board.job(1, "w1", 1, waited_h=9, priority=9), board.job(2, "w2", 5)]
    assert started(board.plan(*waiting)) == [2, 1]


def test_a_city_over_budget_goes_after_all_other_cities() -> None:
    board = Board(WUHAN)
    board.plan(board.job(9, "e1", 4))  # wuhan, which used nothing, would be next
    waiting = [board.job(1, "w1", 4), board.job(2, "w2", 2), board.job(3, "e1", 4)]
    assert started(board.plan(*waiting)) == [3, 2]


def test_it_starts_where_nobody_else_can() -> None:
    """Work conservation: a budget that may go below zero bars nobody from idle units."""
    board = Board(WUHAN)
    assert started(board.plan(board.job(1, "w1", 4), board.job(2, "e1", 11))) == [1]


def test_it_is_promised_nothing_and_bars_nobody_by_a_promise() -> None:
    board = Board(W1, CityQuotaSet("ezhou", "a", 10))
    board.plan(board.job(7, "w2", 1), board.job(8, "w2", 8))
    assert promised(board.plan(board.job(1, "w1", 10, waited_h=900))) == {}
    assert promised(board.plan(ended(7))) == {}
    plan = board.plan(board.job(2, "e1", 10))
    assert promised(plan) == {"a": 2}
    assert started(board.plan(board.job(3, "e1", 2, wall_h=9))) == []


def test_a_promise_made_before_is_kept() -> None:
    board = Board(CityQuotaSet("wuhan", "a", 20), CityQuotaSet("ezhou", "a", 10))
    board.plan(board.job(8, "w2", 8))
    assert promised(board.plan(board.job(1, "w1", 10))) == {"a": 1}
    assert promised(board.plan(W1, board.job(2, "e1", 10))) == {"a": 1}
    assert started(board.plan(ended(8))) == [1]


def test_another_flavor_of_which_budget_is_left_goes_in_its_turn() -> None:
    """The option that is over budget is not taken before others had it."""
    board = Board(W1, PoolSet("b", "c", 4))
    either = board.job(1, "w1", 4, flavors=("a", "b"))
    plan = board.plan(either, board.job(2, "w2", 10, waited_h=1))
    assert {start.uid: start.option.flavor for start in plan.starts} == {1: "b", 2: "a"}


def test_under_a_lease_it_does_not_bar_others_from_borrowing() -> None:
    """A blocked owner freezes what may be borrowed; one that is over its budget does not."""
    for told, expected in (((), []), ((W1,), [3])):
        board = Board(ReclaimSet("a", "lease"), *told)
        board.plan(board.job(9, "e1", 7, wall_h=2))
        assert started(board.plan(board.job(1, "w1", 5, wall_h=2))) == []
        assert started(board.plan(board.job(3, "e1", 1, wall_h=3))) == expected


def test_more_budget_gives_the_turn_back() -> None:
    board = Board(W1)
    waiting = [board.job(1, "w1", 10, waited_h=9), board.job(2, "w2", 10)]
    board.plan(board.job(9, "e1", 10))
    assert promised(board.plan(UsedUp(), *waiting)) == {"a": 1}
    assert started(board.plan(ended(9))) == [1]


def order(starts: Iterable[Start], late: set[str]) -> list[bool]:
    """Which of the starts are over budget, in the order of the plan."""
    return [start.enterprise in late for start in starts]


@given(
    st.lists(
        st.tuples(st.sampled_from(("e1", "w1", "w2")), st.integers(1, 10), st.integers(0, 50)),
        max_size=12,
    ),
    st.sets(st.sampled_from(("e1", "w1", "w2"))),
)
@settings(max_examples=100, deadline=None)
def test_in_one_plan_none_over_budget_starts_before_another(
    asked: list[tuple[str, int, int]], late: set[str]
) -> None:
    """And what could start without them still does: the first round is a plan without them."""
    told = UsedUp(tuple((f"enterprises/{name}", "a") for name in sorted(late)))
    board, alone = Board(told), Board()
    jobs = [
        board.job(uid, name, units, waited_h=waited)
        for uid, (name, units, waited) in enumerate(asked, 1)
    ]
    plan = board.plan(*jobs)
    marks = order(plan.starts, late)
    assert marks == sorted(marks)
    without = alone.plan(*[job for job in jobs if job.enterprise not in late])
    assert started(without) == started(plan)[: marks.count(False)]
    assert promised(without) == promised(plan)
