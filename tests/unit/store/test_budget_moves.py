"""An enterprise moves to another city: its budget goes with it, or is closed and settled."""

import pytest

from quota.budgets import Mode, Terms
from scheduler.store import budget_moves, budget_openings, leader
from tests.simulation.hands import Hands
from tests.simulation.world import job
from tests.unit.store.budget_hands import (
    HOLD,
    OCT_MS,
    admitted,
    allot,
    codes,
    hands,
    row,
    set_terms,
    verify,
)

W1 = "enterprises/w1"


def move(it: Hands, city: str = "ezhou") -> None:
    """As an operator does in the store; the leader's tick comes after it."""
    it.db.do(
        lambda c: c.exec_driver_sql(f"UPDATE enterprise SET city = '{city}' WHERE code = 'w1'")
    )


def follow(it: Hands) -> set[str]:
    """The leader's tick."""
    assert it.db.read_sync(lambda c: budget_moves.any_moved(c, it.clock.ms))
    return it.db.do(lambda c: budget_moves.follow(c, it.clock.ms, it.epoch))


def homes(it: Hands) -> list[tuple[str, str, int]]:
    """(city, period, version) of the enterprise's budgets."""
    return it.db.rows(f"SELECT city, period, version FROM budget WHERE node = '{W1}' ORDER BY 2")


def start(it: Hands) -> int:
    """A run of w1 in wuhan, that holds of both budgets."""
    allot(it, 10_000)
    allot(it, 5_000, enterprise="w1")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    return uid


def test_in_a_city_without_budgets_it_is_closed_at_what_is_in_use() -> None:
    it = hands()
    uid = start(it)
    allot(it, 10_000, period="2026-10")
    allot(it, 7_000, enterprise="w1", period="2026-10")
    move(it)
    assert follow(it) == {"ezhou", "wuhan"}
    assert row(it, W1) == (HOLD, HOLD, 0, 0, 0)
    assert row(it, W1, "2026-10") == (0, 0, 0, 0, 0)
    assert homes(it) == [("ezhou", "2026-09", 2), ("ezhou", "2026-10", 2)]
    assert row(it) == (10_000, HOLD, 0, 0, 0), "the old city's hours are its own again"
    verify(it)
    it.end(uid, 100)
    assert row(it) == (10_000, 0, 100, 0, 0)
    assert row(it, W1) == (HOLD, 0, 100, 0, 0)
    verify(it)


def test_each_closing_is_an_entry_of_the_journal_and_done_once() -> None:
    it = hands()
    start(it)
    move(it)
    before = it.db.rows("SELECT max(seq) FROM budget_entry")[0][0]
    follow(it)
    assert it.db.rows(
        f"SELECT kind, node, allotted_unit_seconds FROM budget_entry WHERE seq > {before}"
    ) == [("ALLOT", W1, HOLD)]
    assert not it.db.read_sync(lambda c: budget_moves.any_moved(c, it.clock.ms))
    assert it.db.do(lambda c: budget_moves.follow(c, it.clock.ms)) == set()
    told = it.db.rows("SELECT city FROM event WHERE kind = 'BUDGET_CHANGED' ORDER BY seq DESC")
    assert told[:2] == [("wuhan",), ("ezhou",)]


def test_no_limit_is_closed_too() -> None:
    it = hands()
    allot(it, None)
    allot(it, None, enterprise="w1")
    move(it)
    follow(it)
    assert row(it, W1) == (0, 0, 0, 0, 0)
    allot(it, 10**6, city="ezhou")
    late = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET city = 'ezhou' WHERE uid = {late[0]}"))
    assert codes(it.admit(*late)) == ["BUDGET_ENTERPRISE"]


def test_where_there_are_budgets_it_goes_along_under_the_new_citys_terms() -> None:
    """Else what the new city allows below zero would break the old one's CHECK."""
    it = hands()
    allot(it, 10_000)
    allot(it, 100, enterprise="w1")
    allot(it, 10_000, city="ezhou")
    set_terms(it, Terms(mode=Mode.OBSERVE), "ezhou")
    move(it)
    assert follow(it) == {"ezhou", "wuhan"}
    assert row(it, W1) == (100, 0, 0, 0, 0)
    assert homes(it) == [("ezhou", "2026-09", 1)], "whoever read it may still set it"
    [uid] = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET city = 'ezhou' WHERE uid = {uid}"))
    assert admitted(it.admit(uid)) == [uid]
    assert row(it, W1) == (100, HOLD, 0, 0, 0)
    verify(it)


@pytest.mark.parametrize("terms", [Terms(months=3), Terms(enabled=False)])
def test_it_does_not_go_along_to_other_periods_or_budgets_that_are_off(terms: Terms) -> None:
    it = hands()
    start(it)
    set_terms(it, terms, "ezhou")
    move(it)
    follow(it)
    assert row(it, W1) == (HOLD, HOLD, 0, 0, 0)
    verify(it)


def test_what_is_over_stays_where_it_was() -> None:
    it = hands()
    start(it)
    it.clock.ms = OCT_MS
    move(it)
    assert not it.db.read_sync(lambda c: budget_moves.any_moved(c, it.clock.ms))
    assert homes(it) == [("wuhan", "2026-09", 1)]


def test_a_moved_budget_does_not_stay_due_for_ever() -> None:
    it = hands()
    allot(it, 10_000)
    allot(it, 10_000, period="2026-10")
    allot(it, 500, enterprise="w1", period="2026-10")
    move(it)
    follow(it)
    it.clock.ms = OCT_MS
    it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms))
    assert row(it, W1, "2026-10") == (0, 0, 0, 0, 0)
    verify(it)


def test_setting_a_budget_follows_first() -> None:
    it = hands()
    start(it)
    move(it)
    allot(it, 20_000)
    assert row(it, W1) == (HOLD, HOLD, 0, 0, 0)


def test_only_the_leader_follows() -> None:
    it = hands()
    start(it)
    move(it)
    it.db.do(lambda c: leader.take_over(c, "another", 0))
    with pytest.raises(leader.Fenced):
        follow(it)
