"""Which of its options a job starts on, and how large."""

import pytest

from scheduler.placement.choosing import least_units, sized
from scheduler.placement.model import CORRIDOR, CityQuotaSet, JobQueued, Option, PoolSet
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started

TWO_POOLS = (PoolSet("b", "d", 10), CityQuotaSet("wuhan", "b", 10))
#: Nothing that wuhan starts borrows.
OWNS_ALL = tuple(CityQuotaSet("wuhan", flavor, 20) for flavor in ("a", "b"))


def job(uid: int, *options: Option, member: str = "w1") -> JobQueued:
    """A job with these options."""
    return JobQueued(uid, "wuhan", member, 0, 0, options)


def option(flavor: str, units: int = 4, nodes: int = 1, wall_h: int = 1) -> Option:
    """An option of so many units."""
    return Option(flavor, units, nodes, wall_h * HOUR_MS)


def chosen(board: Board, *options: Option) -> Option:
    """The option on which a job starts."""
    (start,) = board.plan(job(1, *options)).starts
    return start.option


def test_the_cheaper_option_is_chosen_though_it_is_named_last() -> None:
    dear, cheap = option("b")._replace(net_fen=900), option("a")._replace(net_fen=800, index=1)
    assert chosen(Board(*TWO_POOLS), dear, cheap) == cheap


def test_inputs_that_are_near_weigh_against_money() -> None:
    near = option("a")._replace(net_fen=1_000)
    # A minute of staging counts twice, as later start and as way of the data: as two yuan.
    far = option("b")._replace(net_fen=1_000 - 199, stage_ms=60_000, index=1)
    assert chosen(Board(*TWO_POOLS), near, far) == near
    far = far._replace(net_fen=1_000 - 201)
    assert chosen(Board(*TWO_POOLS), near, far) == far


def test_weights_are_settings() -> None:
    near = option("a")._replace(net_fen=1_000)
    far = option("b")._replace(net_fen=999, stage_ms=60_000, index=1)
    thrifty = CORRIDOR.__class__(net_weight=200_000)
    assert chosen(Board(*TWO_POOLS, policy=thrifty), near, far) == far


def test_of_equal_options_the_one_that_borrows_nothing_is_chosen() -> None:
    assert chosen(Board(*TWO_POOLS), option("a", 6), option("b", 6)).flavor == "b"


def test_of_options_that_are_blocked_the_cheapest_by_weights_is_promised() -> None:
    board = Board(*TWO_POOLS, *OWNS_ALL)
    board.plan(job(1, option("a", 10, wall_h=1)), job(2, option("b", 10, wall_h=2)))
    # An hour later weighs as 60 yuan.
    soon, cheap = option("a")._replace(net_fen=5_999), option("b")._replace(index=1)
    assert promised(board.plan(job(3, soon, cheap))) == {"a": 3}
    board = Board(*TWO_POOLS, *OWNS_ALL)
    board.plan(job(1, option("a", 10, wall_h=1)), job(2, option("b", 10, wall_h=2)))
    assert promised(board.plan(job(3, soon._replace(net_fen=6_001), cheap))) == {"b": 3}


@pytest.mark.parametrize(("patience_h", "waits"), [(0, False), (1, False), (2, True)])
def test_a_job_waits_for_a_better_option_only_if_it_may(patience_h: int, waits: bool) -> None:
    policy = CORRIDOR.__class__(patience_ms=patience_h * HOUR_MS)
    board = Board(*TWO_POOLS, *OWNS_ALL, policy=policy)
    board.plan(job(1, option("b", 10, wall_h=2)))
    plan = board.plan(job(2, option("a")._replace(net_fen=90_000), option("b")._replace(index=1)))
    assert (started(plan) == []) is waits
    assert (promised(plan) == {"b": 2}) is waits
    if waits:
        plan = board.plan(ended(1))
        assert [start.option.flavor for start in plan.starts] == ["b"]


# --- elastic sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "nodes", "units_min", "least"),
    [(16, 4, 0, 16), (16, 4, 4, 4), (16, 4, 5, 8), (16, 4, 1, 4), (16, 4, 16, 16), (16, 1, 4, 16)],
)
def test_an_option_shrinks_by_whole_nodes(
    units: int, nodes: int, units_min: int, least: int
) -> None:
    elastic = Option("a", units, nodes, HOUR_MS, units_min=units_min)
    assert least_units(elastic) == least
    assert sized(elastic, least - 1) is None
    smallest = sized(elastic, least)
    assert smallest is not None
    assert (smallest.units, smallest.nodes) == (least, nodes * least // units)
    assert sized(elastic, 10**6) == elastic


def test_an_elastic_job_starts_at_full_size_where_it_fits_else_as_large_as_it_can() -> None:
    elastic = Option("a", 8, 4, HOUR_MS, index=3, units_min=3)
    (start,) = Board().plan(job(1, elastic)).starts
    assert start.option == elastic
    board = Board()
    board.plan(job(1, option("a", 3)))
    (start,) = board.plan(job(2, elastic)).starts
    assert start.option == elastic._replace(units=6, nodes=3)
    assert start.borrowed_units == 4
    assert started(board.plan(job(3, option("a", 1)), job(4, option("a", 1)))) == [3]


def test_full_size_elsewhere_comes_before_shrinking_here() -> None:
    board = Board(PoolSet("b", "d", 10))
    board.plan(job(1, option("a", 3)))
    elastic = Option("a", 8, 4, HOUR_MS, units_min=2)
    assert chosen_of(board, elastic, Option("b", 8, 4, HOUR_MS, index=1)) == "b"


def chosen_of(board: Board, *options: Option) -> str:
    """The flavor on which another job starts."""
    (start,) = board.plan(job(9, *options)).starts
    return start.option.flavor


def test_a_blocked_elastic_job_is_promised_its_least_and_takes_what_there_is_then() -> None:
    board = Board(OWNS_ALL[0])
    board.plan(*(job(uid, option("a", 3, wall_h=uid)) for uid in (1, 2, 3)))
    elastic = Option("a", 8, 4, HOUR_MS, units_min=4)
    plan = board.plan(job(4, elastic))
    assert [(one.uid, one.units, one.start_ms) for one in plan.reservations] == [(4, 4, HOUR_MS)]
    (start,) = board.plan(ended(1), ended(2), after_ms=HOUR_MS).starts
    assert (start.option.units, start.option.nodes) == (6, 3)


def test_an_elastic_job_shrinks_beside_a_promise() -> None:
    board = Board(OWNS_ALL[0])
    board.plan(job(1, option("a", 5, wall_h=2)))
    board.plan(job(2, option("a", 7, wall_h=2), member="w2"))
    elastic = Option("a", 4, 4, 9 * HOUR_MS, units_min=1)
    (start,) = board.plan(job(3, elastic)).starts
    assert start.option.units == 3
