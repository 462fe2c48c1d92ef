"""Hours lent between cities: what a lender can spare, what a borrower may owe."""

import pytest

from quota import budget_periods, loans
from quota.budgets import Book, Budget, Terms
from quota.calendar import period_bounds
from quota.loans import Barred, Hindrance, debt_room, kept, lendable

NPU = "ai/npu"
OCT_MS, NOV_MS = period_bounds("2026-10")
HALF_MS = (OCT_MS + NOV_MS) // 2
LENDER, BORROWER = ("cities/ezhou", NPU, "2026-10"), ("cities/wuhan", NPU, "2026-10")


def book(lends: int | None = 10_000, owes: int | None = 8_000) -> Book:
    """Two cities with open budgets."""
    made = Book({"ezhou": Terms(), "wuhan": Terms()})
    made.allot(LENDER, lends, "ezhou")
    made.allot(BORROWER, owes, "wuhan")
    budget_periods.open_due(made, OCT_MS)
    return made


@pytest.mark.parametrize(
    ("now_ms", "keeps"),
    [(OCT_MS, 5_000), (HALF_MS, 2_500), (NOV_MS, 0), (NOV_MS + 9, 0), (OCT_MS - 9, 5_000),
     (OCT_MS + 1, 5_000)],
)  # fmt: skip
def test_a_lender_keeps_its_part_of_what_is_left_of_the_period(now_ms: int, keeps: int) -> None:
    budget = Budget(10_000)
    assert kept(budget, Terms(), "2026-10", now_ms) == keeps
    assert lendable(budget, Terms(), "2026-10", now_ms) == 10_000 - keeps


def test_what_is_held_used_and_given_cannot_be_lent() -> None:
    budget = Budget(10_000, held=1_000, settled=2_000, received=500, given=1_500)
    assert lendable(budget, Terms(), "2026-10", OCT_MS) == 1_000
    assert lendable(Budget(10_000, held=9_000), Terms(), "2026-10", OCT_MS) == 0
    assert lendable(Budget(None), Terms(), "2026-10", OCT_MS) == 0, "no limit is nothing to lend"


def test_a_loan_moves_hours_and_makes_a_debt() -> None:
    it = book()
    assert loans.lend(it, LENDER, BORROWER, 2_000, OCT_MS) is None
    assert it.budgets[LENDER].free == 8_000
    assert it.budgets[BORROWER].free == 10_000
    assert it.owed("cities/wuhan", NPU) == {"cities/ezhou": 2_000}
    assert it.least[LENDER] == 5_000, "the store holds the lender to what it keeps"


def test_nobody_owes_more_than_a_quarter_of_the_allotment() -> None:
    it = book()
    assert debt_room(it, BORROWER, Terms()) == 2_000
    assert loans.lend(it, LENDER, BORROWER, 1_500, OCT_MS) is None
    found = loans.lend(it, LENDER, BORROWER, 501, OCT_MS)
    assert found == Barred(Hindrance.DEBT_CAP, "cities/wuhan", 500)


def test_nobody_lends_more_than_it_can_spare() -> None:
    it = book(3_000, 80_000)
    found = loans.lend(it, LENDER, BORROWER, 1_501, OCT_MS)
    assert found == Barred(Hindrance.NOT_LENDABLE, "cities/ezhou", 1_500)


@pytest.mark.parametrize(("lends", "owes"), [(None, 8_000), (10_000, None)])
def test_without_limits_there_is_nothing_to_lend_or_owe(
    lends: int | None, owes: int | None
) -> None:
    found = loans.lend(book(lends, owes), LENDER, BORROWER, 1, OCT_MS)
    assert found is not None
    assert found.hindrance is Hindrance.NO_BUDGET


def test_a_month_with_a_loan_and_its_repayment_is_that_of_the_page() -> None:
    """The example of docs/city-admin.md, in hours."""
    it = book(9_000, 12_000)
    half_ms = OCT_MS + (NOV_MS - OCT_MS) * 2 // 3
    assert lendable(it.budgets[LENDER], Terms(), "2026-10", half_ms) == 7_500
    assert loans.lend(it, LENDER, BORROWER, 3_000, half_ms) is None
    assert (it.budgets[LENDER].free, it.budgets[BORROWER].free) == (6_000, 15_000)
    for city, hours in (("ezhou", 9_000), ("wuhan", 5_000)):
        it.allot((f"cities/{city}", NPU, "2026-11"), hours, city)
    budget_periods.open_due(it, NOV_MS)
    assert it.budgets["cities/wuhan", NPU, "2026-11"].free == 2_500
    assert it.budgets["cities/ezhou", NPU, "2026-11"].free == 11_500
    assert it.owed("cities/wuhan", NPU) == {"cities/ezhou": 500}


def test_a_debt_is_forgiven_in_part_and_never_below_zero() -> None:
    it = book()
    loans.lend(it, LENDER, BORROWER, 2_000, OCT_MS)
    debt = ("cities/ezhou", "cities/wuhan", NPU)
    assert loans.forgive(it, debt, 1_500) == 500
    with pytest.raises(ValueError, match="only 500"):
        loans.forgive(it, debt, 501)
    assert it.budgets[LENDER].free == 8_000, "what was lent stays lent"
