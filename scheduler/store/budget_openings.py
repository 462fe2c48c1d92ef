"""Periods of budgets opened when they begin: what was left or owed is carried over, once.

Whoever comes first opens: the control loop's tick, or the first admission in the period. What is
open is not opened again.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from quota import budget_periods
from quota.budgets import Book
from quota.calendar import period_bounds, period_of
from scheduler.domain.events import EventKind
from scheduler.store import budget_book, feed, leader
from scheduler.store.budget_book import CityTerms

#: More than the longest period: the budget before one that opens is loaded with it.
_BEFORE_MS: Final = 100 * 86_400_000


def any_due(terms: Mapping[str, CityTerms], now_ms: int) -> bool:
    """Whether a period has begun that no one opened yet."""
    return any(one.opened_until_ms <= now_ms for one in terms.values())


def is_due(connection: Connection, now_ms: int) -> bool:
    """Whether ``open_due`` has something to do."""
    return any_due(budget_book.read_terms(connection), now_ms)


def open_due(connection: Connection, now_ms: int, epoch: int | None = None) -> set[str]:
    """Open every budget whose period has begun, with what it inherits and repays.

    Returns the cities concerned. Loans that were not agreed in their period expire. Raises
    ``leader.Fenced`` if an ``epoch`` is given that leads no more.
    """
    if epoch is not None:
        leader.check(connection, epoch)
    terms = budget_book.lock_terms(connection)
    if not any_due(terms, now_ms):
        return set()
    cities: set[str] = set()
    book = _load_due(connection, terms, now_ms)
    if book is not None:
        opened = budget_periods.open_due(book, now_ms)
        cities = {book.budgets[key].city for key in opened}
        budget_book.write(connection, book, now_ms)
    for city, one in terms.items():
        until_ms = period_bounds(period_of(now_ms, one.terms.months))[1]
        connection.execute(
            text("UPDATE budget_city SET opened_until_ms = :until WHERE city = :city"),
            {"until": until_ms, "city": city},
        )
    _expire_loans(connection, now_ms)
    tell(connection, cities, now_ms)
    return cities


def opened_book(connection: Connection, terms: Mapping[str, CityTerms], now_ms: int) -> Book | None:
    """Return all budgets as they will be once opened, None if none is due; nothing is written."""
    book = _load_due(connection, terms, now_ms) if any_due(terms, now_ms) else None
    if book is not None:
        budget_periods.open_due(book, now_ms)
    return book


def _load_due(connection: Connection, terms: Mapping[str, CityTerms], now_ms: int) -> Book | None:
    """Load every budget that may matter to those that are due; None if none is."""
    first_ms = connection.execute(
        text(
            "SELECT min(start_ms) FROM budget WHERE opened_ms IS NULL AND start_ms <= :now"
            # What followed an enterprise to a city without budgets is closed: it never opens.
            " AND city IN (SELECT city FROM budget_city)"
        ),
        {"now": now_ms},
    ).scalar()
    if first_ms is None:
        return None
    return budget_book.load(connection, terms, since_ms=first_ms - _BEFORE_MS)


def tell(connection: Connection, cities: set[str], now_ms: int) -> None:
    """Tell the feed, and so the planner, that budgets of cities changed."""
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.BUDGET_CHANGED, 0, 0, "", city, "", now_ms)
            for city in sorted(cities)
        ],
    )


def _expire_loans(connection: Connection, now_ms: int) -> None:
    open_states = "state IN ('OFFERED', 'REQUESTED')"
    for (period,) in connection.exec_driver_sql(
        f"SELECT DISTINCT period FROM loan WHERE {open_states}"
    ).all():
        if period_bounds(period)[1] <= now_ms:
            connection.execute(
                text(
                    "UPDATE loan SET state = 'EXPIRED', decided_ms = :now"
                    f" WHERE {open_states} AND period = :period"
                ),
                {"now": now_ms, "period": period},
            )
