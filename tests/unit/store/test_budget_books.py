"""The books of budgets: what the database refuses, what the journal shows, who opens a period."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from quota import loans
from quota.budgets import Key, Terms
from scheduler.domain.principal import Scope
from scheduler.placement.model import Unparked, UsedUp
from scheduler.store import (
    budget_book,
    budget_journal,
    budget_moves,
    budget_openings,
    feed,
    figures,
    planner_feed,
)
from scheduler.store.leader import Fenced, take_over
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job
from tests.unit.store.budget_hands import (
    HOLD,
    OCT_MS,
    admitted,
    allot,
    free_enterprises,
    hands,
    row,
    set_terms,
    verify,
)


def test_figures_show_the_present_budgets_of_cities_and_what_is_owed() -> None:
    it = hands()
    allot(it, 10_000)
    allot(it, None, flavor=CPU)
    allot(it, 5_000, enterprise="w1")
    allot(it, 7_000, period="2026-10")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.db.read_sync(lambda c: figures.read_budgets(c, it.clock.ms)) == figures.BudgetFigures(
        [("wuhan", NPU, 10_000, HOLD, 0, 10_000 - HOLD), ("wuhan", CPU, None, 0, 0, None)], [], []
    )
    it.end(uid, 1_000)
    it.db.do(
        lambda c: c.exec_driver_sql(
            "INSERT INTO budget_debt VALUES ('corridor', 'enterprises/w1', 'ai/npu', 7, 0),"
            " ('cities/ezhou', 'cities/wuhan', 'ai/npu', 5, 0)"
        )
    )
    found = it.db.read_sync(lambda c: figures.read_budgets(c, it.clock.ms))
    assert found.debts == [("wuhan", NPU, 12)]
    assert found.overruns == [(NPU, 1_000 - HOLD)]


# --- the database is the last word ----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "held_unit_seconds = held_unit_seconds + 10001",
        "given_unit_seconds = 10001",
        "allotted_unit_seconds = -1",
        "held_unit_seconds = -1",
    ],
)
def test_no_statement_overspends(change: str) -> None:
    it = hands()
    allot(it, 10_000)
    with pytest.raises(sa.exc.IntegrityError):
        it.db.do(lambda c: c.exec_driver_sql(f"UPDATE budget SET {change}"))


def test_a_hold_is_settled_within_itself() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    it.admit(*it.world.submit("w1", [job()]))
    with pytest.raises(sa.exc.IntegrityError):
        it.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE budget_hold SET used_unit_seconds = {HOLD + 1}, settled_ms = 1"
            )
        )


def tampered(of: str) -> Sequence[str]:
    """What the verification says of books that somebody changed."""
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    it.run(*it.world.submit("w1", [job()]))
    it.db.do(lambda c: c.exec_driver_sql(of))
    return it.db.read_sync(budget_journal.verify).problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE budget SET held_unit_seconds = 1 WHERE city = 'wuhan'", "the journal says 660"),
        ("UPDATE budget SET allotted_unit_seconds = 20000 WHERE enterprise = ''", "says 10000"),
        ("UPDATE budget_hold SET unit_seconds = 661", "its runs hold 661"),
        ("DELETE FROM budget WHERE enterprise = 'w1'", "in the journal alone"),
        ("INSERT INTO budget_debt VALUES ('cities/a', 'cities/b', 'f', 7, 0)", "owes cities/a 7"),
        ("UPDATE budget SET opened_ms = NULL WHERE enterprise = ''", "opened is False"),
    ],
)
def test_books_that_were_changed_show_against_the_journal(change: str, words: str) -> None:
    assert any(words in problem for problem in tampered(change))


def two_cities() -> Hands:
    """Wuhan and Ezhou with budgets, a run in each, and a loan between them."""
    it = hands()
    for city in ("wuhan", "ezhou"):
        allot(it, 10_000, city=city)
        set_terms(it, Terms(enterprises_free=True, keep_bps=0), city)
    it.run(*it.world.submit("w1", [job()]), *it.world.submit("e1", [job()]))
    lender = ("cities/ezhou", NPU, "2026-09")
    borrower = ("cities/wuhan", NPU, "2026-09")
    lend(it, lender, borrower, 500)
    return it


def lend(it: Hands, lender: Key, borrower: Key, amount: int) -> None:
    """As two admins agree."""

    def write(connection: sa.Connection) -> None:
        terms = budget_book.read_terms(connection)
        book = budget_book.load(connection, terms, nodes={lender[0], borrower[0]})
        assert loans.lend(book, lender, borrower, amount, it.clock.ms) is None
        budget_book.write(connection, book, it.clock.ms)

    it.db.do(write)


def books(it: Hands, city: str) -> budget_journal.BudgetVerification:
    """What a city's admin verifies."""
    return it.db.read_sync(lambda c: budget_journal.verify(c, Scope(city)))


def problems(it: Hands, city: str) -> str:
    """What is wrong with the books of a city."""
    return "; ".join(books(it, city).problems)


def test_a_city_verifies_its_own_books_and_hears_nothing_of_others() -> None:
    it = two_cities()
    every = it.db.read_sync(budget_journal.verify)
    own = books(it, "ezhou")
    assert (own.ok, own.budgets, own.open_holds) == (True, 2, 1)
    assert (every.budgets, every.open_holds) == (4, 2)
    assert own.entries < every.entries
    it.db.do(lambda c: c.exec_driver_sql("UPDATE budget SET given_unit_seconds = 600"))
    assert "cities/ezhou" in problems(it, "ezhou")
    assert "wuhan" not in problems(it, "ezhou")
    assert "ezhou" not in problems(it, "wuhan")
    assert problems(it, "xianning") == ""


def test_a_city_verifies_what_it_is_owed_and_owes() -> None:
    it = two_cities()
    it.db.do(lambda c: c.exec_driver_sql("UPDATE budget_debt SET unit_seconds = 1"))
    for city in ("wuhan", "ezhou"):
        assert "cities/wuhan owes cities/ezhou 1 of" in problems(it, city)
    assert problems(it, "xianning") == ""


def test_a_run_of_an_enterprise_that_left_is_in_the_books_of_both_cities() -> None:
    it = two_cities()
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'xianning' WHERE code='w1'"))
    it.db.do(lambda c: budget_moves.follow(c, it.clock.ms))
    for city in ("wuhan", "xianning"):
        found = books(it, city)
        assert (found.ok, found.open_holds) == (True, 1), city


# --- periods and who is told ----------------------------------------------------------------------


def test_the_first_admission_of_a_period_opens_it() -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 1_000)
    allot(it, 2_000, period="2026-10")
    free_enterprises(it, roll_over=True)
    it.clock.ms = OCT_MS
    uids = it.world.submit("w1", [job(units=4)])
    assert admitted(it.admit(*uids)) == uids, "3000 unit-seconds with what was left"
    assert row(it, period="2026-10") == (2_000, 4 * HOLD, 0, 1_000, 0)
    verify(it)


def test_a_period_is_opened_once_and_by_the_leader_alone() -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 1_000)
    allot(it, 2_000, period="2026-10")
    free_enterprises(it, roll_over=True)
    it.clock.ms = OCT_MS
    assert it.db.read_sync(lambda c: budget_openings.is_due(c, it.clock.ms))
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms, it.epoch))
    opened = it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms, it.epoch + 1))
    assert opened == {"wuhan"}
    assert not it.db.read_sync(lambda c: budget_openings.is_due(c, it.clock.ms))
    assert it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms)) == set()
    assert row(it, period="2026-10") == (2_000, 0, 0, 1_000, 0)


@pytest.mark.parametrize("what", ["allot", "open"])
def test_jobs_refused_for_a_budget_are_looked_at_again_when_it_changes(what: str) -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 0)
    allot(it, 2_000, period="2026-10")
    head = it.db.read_sync(feed.head)
    if what == "allot":
        allot(it, 5_000)
    else:
        it.clock.ms = OCT_MS
        it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms))
    _, deltas, _, changed = it.db.read_sync(lambda c: planner_feed.read_deltas(c, head, 100))
    assert deltas == [Unparked("wuhan"), UsedUp()]
    assert not changed
