"""Budgets between the store and ``quota.budgets.Book``: loaded, changed there, written back.

Every change of a budget is an entry of the journal, and what is written is the sum of the entries:
so that replaying the journal gives the budgets (``scheduler.store.budget_journal``). The writes are
conditional on what must stay free, with the CHECKs of the tables behind them.

Who changes budgets reads the terms by ``lock_terms``, before the book and before any money is
locked: what is decided is decided by figures that nobody else moves meanwhile. Openings and loans
lead from any city to any other, so there is one lock for all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from quota.budgets import ANY, CORRIDOR, Book, Budget, Debt, Entry, Key, Kind, Mode, Terms
from quota.calendar import period_bounds
from scheduler.store.budget_tables import BudgetEntry
from scheduler.store.database import bulk_execute, bulk_insert, bulk_read, bulk_update
from scheduler.store.tables import table

_TERMS: Final = (
    "city, enabled, months, mode, overburn_bps, carry, roll_over, enterprises_free, omega_bps,"
    " grace_s, keep_bps, debt_cap_bps, repay_bps"
)
_LOCKED: Final = ' ORDER BY city COLLATE "C" FOR UPDATE'
_BUDGETS: Final = (
    # An enterprise that moved is under the terms of the city where it is now.
    "b.node, b.flavor, b.period, coalesce(e.city, b.city), b.allotted_unit_seconds,"
    " b.held_unit_seconds, b.settled_unit_seconds, b.received_unit_seconds, b.given_unit_seconds,"
    " b.opened_ms"
)
_ENTRY_COLUMNS: Final = (
    "at_ms", "kind", "node", "flavor", "period", "held_unit_seconds", "settled_unit_seconds",
    "received_unit_seconds", "given_unit_seconds", "debt_unit_seconds", "other", "parent",
    "allotted_unit_seconds", "job_uid", "attempt", "part",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CityTerms:
    """A city's terms, and until when its budgets are open."""

    terms: Terms
    opened_until_ms: int


@dataclass(slots=True)
class _Moves:
    """What is added to the figures of one budget."""

    held: int = 0
    settled: int = 0
    received: int = 0
    given: int = 0
    allotted: list[int | None] = field(default_factory=list)
    opened: bool = False

    def add(self, entry: Entry) -> None:
        self.held += entry.held
        self.settled += entry.settled
        self.received += entry.received
        self.given += entry.given
        if entry.kind is Kind.ALLOT:
            self.allotted = [entry.allotted]
        self.opened = self.opened or entry.kind is Kind.OPEN


def lock_terms(connection: Connection) -> dict[str, CityTerms]:
    """Return what ``read_terms`` does; until the transaction ends no other changes budgets.

    Waits for those that do. On SQLite a transaction that writes is alone from its beginning.
    """
    return _terms(connection, "" if connection.dialect.name == "sqlite" else _LOCKED)


def read_terms(connection: Connection) -> dict[str, CityTerms]:
    """Return the terms of all cities that ever had budgets: few rows, none at first."""
    return _terms(connection, "")


def _terms(connection: Connection, locked: str) -> dict[str, CityTerms]:
    found: dict[str, CityTerms] = {}
    for city, enabled, months, mode, *rest, opened_ms in bulk_read(
        connection, f"SELECT {_TERMS}, opened_until_ms FROM budget_city{locked}"
    ):
        overburn, carry, roll_over, free, omega, grace, keep, cap, repay = rest
        terms = Terms(
            bool(enabled), months, Mode(mode), overburn, bool(carry), bool(roll_over), bool(free),
            omega, grace, keep, cap, repay,
        )  # fmt: skip
        found[city] = CityTerms(terms, opened_ms)
    return found


def load(
    connection: Connection,
    terms: Mapping[str, CityTerms],
    *,
    nodes: Collection[str] | None = None,
    since_ms: int = 0,
) -> Book:
    """Load the budgets that end after ``since_ms`` and the debts of some nodes (None: of all)."""
    book = Book({city: one.terms for city, one in terms.items()})
    named = "" if nodes is None else ", ".join("?" * len(nodes)) or "''"
    values = () if nodes is None else tuple(sorted(nodes))
    among = "" if nodes is None else f" AND node IN ({named})"
    for node, flavor, period, city, allotted, held, settled, received, given, opened in bulk_read(
        connection,
        f"SELECT {_BUDGETS} FROM budget b LEFT JOIN enterprise e ON e.code = b.enterprise"
        f" WHERE b.end_ms > {since_ms}{among}",
        values,
    ):
        book.budgets[node, flavor, period] = Budget(
            allotted, held, settled, received, given, opened is not None, city
        )
    among = "" if nodes is None else f" AND borrower IN ({named})"
    for lender, borrower, flavor, amount in bulk_read(
        connection,
        "SELECT lender, borrower, flavor, unit_seconds FROM budget_debt"
        f" WHERE unit_seconds > 0{among}",
        values,
    ):
        book.debts[lender, borrower, flavor] = amount
    return book


def write(connection: Connection, book: Book, now_ms: int) -> set[str]:
    """Write what a book noted; returns the cities whose budgets have more free than before.

    Raises RuntimeError (and the transaction must be given up) if a budget moved beside it.
    """
    if not book.entries:
        return set()
    moves: dict[Key, _Moves] = {}
    debts: dict[Debt, int] = {}
    for entry in book.entries:
        for node in (entry.node, entry.parent) if entry.parent else (entry.node,):
            if entry.period:
                moves.setdefault((node, entry.flavor, entry.period), _Moves()).add(entry)
        if entry.debt:
            debt = (entry.other, entry.node, entry.flavor)
            debts[debt] = debts.get(debt, 0) + entry.debt
    made = [key for key, move in moves.items() if move.allotted or key[0] == CORRIDOR]
    _make(connection, book, made, now_ms)
    _allot(connection, book, moves, now_ms)
    _move(connection, book, moves)
    _open(connection, [key for key, move in moves.items() if move.opened], now_ms)
    _owe(connection, debts, now_ms)
    _journal(connection, book.entries, now_ms)
    book.entries = []
    book.least = {}
    return {
        book.budgets[key].city
        for key, move in moves.items()
        if move.held + move.settled + move.given < move.received or move.allotted or move.opened
    } - {""}


def _make(connection: Connection, book: Book, keys: Iterable[Key], now_ms: int) -> None:
    """Make the budgets that there were not: those set now, and the corridor's."""
    rows = []
    for key in sorted(keys):
        node, flavor, period = key
        budget = book.budgets[key]
        enterprise = node.removeprefix("enterprises/") if node.startswith("enterprises/") else ""
        bounds = period_bounds(period)
        allotted = 0 if node == CORRIDOR else None
        rows.append((node, flavor, period, budget.city, enterprise, *bounds, allotted, now_ms))
    bulk_execute(
        connection,
        "INSERT INTO budget (node, flavor, period, city, enterprise, start_ms, end_ms,"
        " allotted_unit_seconds, held_unit_seconds, settled_unit_seconds, received_unit_seconds,"
        " given_unit_seconds, margin_unit_seconds, opened_ms, version, updated_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, NULL, NULL, 0, ?)"
        " ON CONFLICT (node, flavor, period) DO NOTHING",
        rows,
    )


def _allot(connection: Connection, book: Book, moves: Mapping[Key, _Moves], now_ms: int) -> None:
    rows = [
        (move.allotted[0], margin_of(book, key), now_ms, *key)
        for key, move in sorted(moves.items())
        if move.allotted
    ]
    bulk_execute(
        connection,
        "UPDATE budget SET allotted_unit_seconds = ?, margin_unit_seconds = ?, updated_ms = ?"
        " WHERE node = ? AND flavor = ? AND period = ?",
        rows,
    )


def margin_of(book: Book, key: Key) -> int | None:
    """Return how far below zero a budget may go; what is below already stays there."""
    budget = book.budgets[key]
    terms = book.terms.get(budget.city)
    margin = None if terms is None else terms.margin(budget.allotted)
    return None if margin is None else max(margin, -(budget.free or 0))


def _move(connection: Connection, book: Book, moves: Mapping[Key, _Moves]) -> None:
    rows = [
        (*key, move.held, move.settled, move.received, move.given, book.least.get(key, ANY))
        for key, move in sorted(moves.items())
        if move.held or move.settled or move.received or move.given
    ]
    changed = bulk_update(
        connection,
        "UPDATE budget SET held_unit_seconds = held_unit_seconds + v.column4,"
        " settled_unit_seconds = settled_unit_seconds + v.column5,"
        " received_unit_seconds = received_unit_seconds + v.column6,"
        " given_unit_seconds = given_unit_seconds + v.column7 FROM {values}"
        " WHERE budget.node = v.column1 AND budget.flavor = v.column2"
        " AND budget.period = v.column3 AND (allotted_unit_seconds IS NULL"
        " OR allotted_unit_seconds + received_unit_seconds - given_unit_seconds"
        " - held_unit_seconds - settled_unit_seconds - v.column4 - v.column5 + v.column6"
        " - v.column7 >= v.column8)",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError("a budget moved beside this transaction")


def _open(connection: Connection, keys: Sequence[Key], now_ms: int) -> None:
    changed = bulk_execute(
        connection,
        "UPDATE budget SET opened_ms = ? WHERE node = ? AND flavor = ? AND period = ?"
        " AND opened_ms IS NULL",
        [(now_ms, *key) for key in keys],
    )
    if changed != len(keys):
        raise RuntimeError("a budget was opened beside this transaction")


def _owe(connection: Connection, debts: Mapping[Debt, int], now_ms: int) -> None:
    rows = [(*debt, now_ms, amount) for debt, amount in sorted(debts.items()) if amount]
    bulk_execute(
        connection,
        "INSERT INTO budget_debt (lender, borrower, flavor, unit_seconds, updated_ms)"
        " VALUES (?, ?, ?, 0, ?) ON CONFLICT (lender, borrower, flavor) DO NOTHING",
        [row[:4] for row in rows],
    )
    bulk_execute(
        connection,
        "UPDATE budget_debt SET unit_seconds = unit_seconds + ?, updated_ms = ?"
        " WHERE lender = ? AND borrower = ? AND flavor = ?",
        [(row[4], row[3], *row[:3]) for row in rows],
    )


def _journal(connection: Connection, entries: Sequence[Entry], now_ms: int) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            now_ms, str(one.kind), one.node, one.flavor, one.period, one.held, one.settled,
            one.received, one.given, one.debt, one.other, one.parent, one.allotted, one.uid,
            one.attempt, one.part,
        )
        for one in entries
    ]  # fmt: skip
    bulk_insert(connection, table(BudgetEntry), _ENTRY_COLUMNS, rows)
