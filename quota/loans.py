"""Hours lent between cities: how much a lender can spare, how much a borrower may owe.

A loan moves unit-seconds from one city's budget to another's in the same flavor and period. The
borrower owes them and repays from its next allotments (``quota.budget_periods``), without interest.
"""

from enum import StrEnum
from typing import NamedTuple

from quota.budgets import Book, Budget, Debt, Entry, Key, Kind, Terms, part_of
from quota.calendar import period_bounds


class Hindrance(StrEnum):
    """Why a loan is not possible."""

    NO_BUDGET = "NO_BUDGET"  # one of the two has no limited budget of this flavor and period
    NOT_LENDABLE = "NOT_LENDABLE"  # the lender cannot spare so much
    DEBT_CAP = "DEBT_CAP"  # the borrower would owe too much


class Barred(NamedTuple):
    """What bars a loan, whose it is, and the most that would be possible."""

    hindrance: Hindrance
    node: str
    most: int


def kept(budget: Budget, terms: Terms, period: str, now_ms: int) -> int:
    """Return what a lender keeps for the rest of the period: a part of A, rounded up."""
    start_ms, end_ms = period_bounds(period)
    left_ms = min(max(end_ms - now_ms, 0), end_ms - start_ms)
    return -(-(budget.allotted or 0) * terms.keep_bps * left_ms // (10_000 * (end_ms - start_ms)))


def lendable(budget: Budget, terms: Terms, period: str, now_ms: int) -> int:
    """Return what a city can lend now: what is free above what it keeps (unlimited: nothing)."""
    free = budget.free
    return 0 if free is None else max(0, free - kept(budget, terms, period, now_ms))


def debt_room(book: Book, key: Key, terms: Terms) -> int:
    """Return how much more a budget may owe in all."""
    budget = book.budgets[key]
    owed = sum(book.owed(key[0], key[1]).values())
    return max(0, part_of(budget.allotted or 0, terms.debt_cap_bps) - owed)


def barred(book: Book, lender: Key, borrower: Key, amount: int, now_ms: int) -> Barred | None:
    """Say what bars a loan between two cities' budgets; None if nothing does."""
    for key in (lender, borrower):
        budget = book.budgets.get(key)
        if budget is None or budget.allotted is None:
            return Barred(Hindrance.NO_BUDGET, key[0], 0)
    giving, taking = book.budgets[lender], book.budgets[borrower]
    most = lendable(giving, book.terms[giving.city], lender[2], now_ms)
    if amount > most:
        return Barred(Hindrance.NOT_LENDABLE, lender[0], most)
    room = debt_room(book, borrower, book.terms[taking.city])
    if amount > room:
        return Barred(Hindrance.DEBT_CAP, borrower[0], room)
    return None


def lend(book: Book, lender: Key, borrower: Key, amount: int, now_ms: int) -> Barred | None:
    """Move a loan, unless something bars it."""
    found = barred(book, lender, borrower, amount, now_ms)
    if found is not None:
        return found
    giving = book.budgets[lender]
    book.note(Entry(Kind.LOAN, *lender, given=amount, other=borrower[0]))
    book.note(Entry(Kind.LOAN, *borrower, received=amount, debt=amount, other=lender[0]))
    book.least[lender] = kept(giving, book.terms[giving.city], lender[2], now_ms)
    return None


def forgive(book: Book, debt: Debt, amount: int) -> int:
    """Let a borrower off a debt; returns what it then owes.

    Raises ValueError for more than is owed.
    """
    lender, borrower, flavor = debt
    left = book.debts.get(debt, 0) - amount
    if left < 0:
        raise ValueError(f"{borrower} owes {lender} only {left + amount} of {flavor}")
    book.note(Entry(Kind.FORGIVE, borrower, flavor, "", debt=-amount, other=lender))
    return left
