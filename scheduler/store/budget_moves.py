"""Budgets of enterprises that now belong to another city than the one that set them.

A budget goes with its enterprise where the new city has budgets of the same periods. Else it is
closed: it is allotted what is used and held of it, so that nothing of the old city's hours is left
over. Runs that hold of it settle as they would have.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from quota.budgets import Book, Key
from quota.calendar import period_bounds, period_of
from scheduler.store import budget_book, budget_openings, leader
from scheduler.store.budget_book import CityTerms
from scheduler.store.database import bulk_execute, bulk_read

#: Whether a move is looked for is asked at most so often: it looks at all budgets.
LOOK_MS: Final = 60_000
_MOVED: Final = (
    "FROM budget b JOIN enterprise e ON e.code = b.enterprise"
    " WHERE b.city <> e.city AND b.end_ms > {now}"
)


def any_moved(connection: Connection, now_ms: int) -> bool:
    """Whether ``follow`` has something to do."""
    found = connection.exec_driver_sql(f"SELECT 1 {_MOVED.format(now=now_ms)} LIMIT 1")
    return found.first() is not None


def follow(connection: Connection, now_ms: int, epoch: int | None = None) -> set[str]:
    """Have budgets that are not over follow their enterprises; returns the cities concerned.

    Raises ``leader.Fenced`` if an ``epoch`` is given that leads no more.
    """
    if epoch is not None:
        leader.check(connection, epoch)
    terms = budget_book.lock_terms(connection)
    moved: dict[Key, tuple[str, str]] = {
        (node, flavor, period): (old, new)
        for node, flavor, period, old, new in bulk_read(
            connection,
            f"SELECT b.node, b.flavor, b.period, b.city, e.city {_MOVED.format(now=now_ms)}"
            " ORDER BY b.node, b.flavor, b.period",
        )
    }
    if not moved:
        return set()
    book = budget_book.load(connection, terms, nodes={key[0] for key in moved}, since_ms=now_ms)
    closed = [key for key, (_, new) in moved.items() if not _fits(terms, new, key)]
    for key in closed:
        _close(book, key)
    budget_book.write(connection, book, now_ms)
    bulk_execute(
        connection,
        "UPDATE budget SET city = ?, margin_unit_seconds = ?, version = version + ?,"
        " updated_ms = ? WHERE node = ? AND flavor = ? AND period = ?",
        [
            (new, budget_book.margin_of(book, key), int(key in closed), now_ms, *key)
            for key, (_, new) in moved.items()
        ],
    )
    cities = {city for pair in moved.values() for city in pair}
    budget_openings.tell(connection, cities, now_ms)
    return cities


def _fits(terms: Mapping[str, CityTerms], city: str, key: Key) -> bool:
    """Whether a city has budgets of such periods."""
    found = terms.get(city)
    if found is None or not found.terms.enabled:
        return False
    return period_of(period_bounds(key[2])[0], found.terms.months) == key[2]


def _close(book: Book, key: Key) -> None:
    budget = book.budgets[key]
    in_use = max(0, budget.used + budget.given - budget.received)
    if budget.allotted is None or in_use < budget.allotted:
        book.allot(key, in_use, budget.city)
