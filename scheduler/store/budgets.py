"""Budgets of cities and enterprises: shown within a scope, set under an etag.

The first budget that is set for a city switches budgets on for it: from then on what is not set
denies. A budget is never set below what is used and held of it: nothing would end by that, and the
books would be false.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from quota import budget_periods
from quota.budgets import Book, Budget, Key, Mode, city_node, enterprise_node, part_of
from quota.calendar import period_bounds, period_of
from quota.loans import lendable
from scheduler.domain.events import EventKind
from scheduler.domain.principal import Scope
from scheduler.errors import FieldViolation, InvalidRequest, NotFound, QuotaExceeded, WrongState
from scheduler.store import budget_book, budget_settings, scoping
from scheduler.store.budget_book import CityTerms
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_city,
    check_etag,
    check_flavor,
    check_written,
    city_of,
    tell,
)

#: More than the longest period: what a budget inherits from is loaded with it.
_BEFORE_MS: Final = 100 * 86_400_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which budget: of an enterprise, or (enterprise empty) of a city; period empty: the present.

    Of an enterprise the city need not be given.
    """

    city: str
    enterprise: str
    flavor: str
    period: str


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget as it stands, in unit-seconds; ``city`` is empty for the corridor's own books.

    ``mode`` is empty where budgets are switched off.
    """

    node: str
    city: str
    enterprise: str
    flavor: str
    period: str
    budget: Budget
    mode: str
    owed: int
    lendable: int
    etag: str
    updated_ms: int


#: An enterprise's budget is that of the city where it is now (``budget_moves``).
_FROM = "budget b LEFT JOIN enterprise e ON e.code = b.enterprise"
_CITY = "coalesce(e.city, b.city)"
_COLUMNS = (
    f"b.node, {_CITY} AS city, b.enterprise, b.flavor, b.period,"
    " b.allotted_unit_seconds AS allotted,"
    " b.held_unit_seconds AS held, b.settled_unit_seconds AS settled,"
    " b.received_unit_seconds AS received, b.given_unit_seconds AS given, b.opened_ms, b.version,"
    " b.updated_ms, (SELECT coalesce(sum(d.unit_seconds), 0) FROM budget_debt d"
    " WHERE d.borrower = b.node AND d.flavor = b.flavor) AS owed"
)


def _visible(scope: Scope) -> str:
    """An enterprise sees its own budgets and those of its city."""
    own = scoping.enterprises(scope, _CITY, "b.enterprise")
    return f"(({own}) OR (b.enterprise = '' AND {scoping.cities(scope, 'b.city')}))"


def get_budget(connection: Connection, scope: Scope, place: Place, now_ms: int) -> BudgetRow:
    """Return one budget; ``NotFound`` if there is none within the scope."""
    node = enterprise_node(place.enterprise) if place.enterprise else city_node(place.city)
    row = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE b.node = :node AND b.flavor = :flavor"
            " AND (b.period = :period OR (:period = '' AND b.start_ms <= :now AND b.end_ms > :now))"
            f" AND {_visible(scope)}"
        ),
        {
            "node": node, "flavor": place.flavor, "period": place.period, "now": now_ms,
            **scoping.values(scope),
        },
    ).first()  # fmt: skip
    if row is None:
        raise NotFound(
            f"no budget of {node} for flavor {place.flavor!r} in"
            f" {place.period or 'the present period'} that you may see"
        )
    return _row(row, budget_book.read_terms(connection), now_ms)


def list_budgets(
    connection: Connection,
    scope: Scope,
    place: Place,
    now_ms: int,
    limit: int = 1000,
    after: Key = ("", "", ""),
) -> list[BudgetRow]:
    """Return at most ``limit`` budgets by (node, flavor, period) after a key.

    Empty parts of ``place`` mean all; an empty period the present one.
    """
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE {_visible(scope)}"
            f" AND (:city = '' OR {_CITY} = :city)"
            " AND (:enterprise = '' OR b.enterprise = :enterprise)"
            " AND (:flavor = '' OR b.flavor = :flavor)"
            " AND (b.period = :period OR (:period = '' AND b.start_ms <= :now AND b.end_ms > :now))"
            " AND (b.node > :a OR (b.node = :a AND (b.flavor > :b"
            " OR (b.flavor = :b AND b.period > :c))))"
            " ORDER BY b.node, b.flavor, b.period LIMIT :limit"
        ),
        {
            "city": place.city, "enterprise": place.enterprise, "flavor": place.flavor,
            "period": place.period, "now": now_ms, "a": after[0], "b": after[1], "c": after[2],
            "limit": limit, **scoping.values(scope),
        },
    ).all()  # fmt: skip
    terms = budget_book.read_terms(connection)
    return [_row(row, terms, now_ms) for row in rows]


def _row(row: Row[Any], terms: dict[str, CityTerms], now_ms: int) -> BudgetRow:
    budget = Budget(
        row.allotted, row.held, row.settled, row.received, row.given, row.opened_ms is not None,
        row.city,
    )  # fmt: skip
    found = terms.get(row.city)
    spare = 0
    if found is not None and not row.enterprise and budget.opened:
        spare = lendable(budget, found.terms, row.period, now_ms)
    mode = "" if found is None or not found.terms.enabled else str(found.terms.mode)
    return BudgetRow(
        row.node, row.city, row.enterprise, row.flavor, row.period, budget, mode, int(row.owed),
        spare, str(row.version), row.updated_ms,
    )  # fmt: skip


# --- setting --------------------------------------------------------------------------------------


def update_budget(
    connection: Connection, place: Place, allotted: int | None, change: Change
) -> BudgetRow:
    """Allot unit-seconds, None for no limit; an empty etag makes a budget nobody set before.

    Raises ``NotFound`` outside the scope, ``InvalidRequest`` for a period that is over or not of
    the city's kind, ``Conflict`` for a stale etag, ``WrongState`` for an enterprise whose city has
    no budget, ``QuotaExceeded`` below what is in use or above what the city's budget allows.
    """
    scope, now_ms = change.actor.scope, change.now_ms
    city = place.city
    if place.enterprise:
        city = city_of(connection, scope, place.enterprise)
    else:
        check_city(connection, scope, city)
    check_flavor(connection, place.flavor)
    terms = budget_settings.terms_to_change(connection, city, now_ms, make=not place.enterprise)
    period = _period(place.period, terms[city], now_ms)
    node = enterprise_node(place.enterprise) if place.enterprise else city_node(city)
    key = (node, place.flavor, period)
    before = connection.execute(_BEFORE, _named(key)).first()
    version = 0 if before is None else before.version
    if version or change.etag:
        check_etag(change.etag, str(version) if version else "", f"the budget {' '.join(key)}")
    nodes = {node} if place.enterprise else {city_node(one) for one in terms}
    since_ms = period_bounds(period)[0] - _BEFORE_MS
    book = budget_book.load(connection, terms, nodes=nodes, since_ms=since_ms)
    if place.enterprise:
        _check_share(connection, city, key, allotted, terms[city])
    _check_use(book, key, allotted, terms[city])
    book.allot(key, allotted, city)
    budget_periods.open_due(book, now_ms)
    budget_book.write(connection, book, now_ms)
    written = connection.execute(
        text(
            "UPDATE budget SET version = version + 1 WHERE node = :node AND flavor = :flavor"
            " AND period = :period AND version = :version"
        ),
        {**_named(key), "version": version},
    )
    check_written(written.rowcount, f"the budget {' '.join(key)}")
    old = None if before is None else {"allotted_unit_seconds": before.allotted}
    tell(
        connection,
        Told(
            EventKind.BUDGET_CHANGED, f"{node}/budgets/{place.flavor}/{period}", city,
            place.enterprise, place.flavor, old, {"allotted_unit_seconds": allotted},
        ),
        change,
    )  # fmt: skip
    found = Place(city, place.enterprise, place.flavor, period)
    return get_budget(connection, scope, found, now_ms)


_BEFORE = text(
    "SELECT version, allotted_unit_seconds AS allotted FROM budget"
    " WHERE node = :node AND flavor = :flavor AND period = :period"
)


def _named(key: Key) -> dict[str, str]:
    return {"node": key[0], "flavor": key[1], "period": key[2]}


def _period(given: str, city: CityTerms, now_ms: int) -> str:
    """Return the period meant; ``InvalidRequest`` if there is none such, or it is over."""
    months = city.terms.months
    present = period_of(now_ms, months)
    if not given:
        return present
    try:
        start_ms, end_ms = period_bounds(given)
    except ValueError as error:
        raise InvalidRequest([FieldViolation("budget.period", str(error))]) from error
    if period_of(start_ms, months) != given:
        what = f"must be a {'month' if months == 1 else 'quarter'}, as {present} is, not {given!r}"
        raise InvalidRequest([FieldViolation("budget.period", what)])
    if end_ms <= now_ms:
        what = f"is over; the present one is {present}"
        raise InvalidRequest([FieldViolation("budget.period", what)])
    return given


def _check_share(
    connection: Connection, city: str, key: Key, allotted: int | None, terms: CityTerms
) -> None:
    """Hold the enterprises' allotments together to the city's, times omega."""
    of_city = connection.execute(_BEFORE, _named((city_node(city), *key[1:]))).first()
    if of_city is None:
        raise WrongState(
            f"city {city} has no budget of {key[1]} for {key[2]}; an operator sets it first",
            subject=city_node(city),
            reason="CITY_BUDGET_MISSING",
        )
    if allotted is None or of_city.allotted is None:
        return
    others = connection.execute(
        text(
            "SELECT coalesce(sum(b.allotted_unit_seconds), 0) FROM budget b"
            " JOIN enterprise e ON e.code = b.enterprise WHERE e.city = :city"
            " AND b.node <> :node AND b.flavor = :flavor AND b.period = :period"
        ),
        {"city": city, **_named(key)},
    ).scalar_one()
    most = part_of(of_city.allotted, terms.terms.omega_bps)
    if allotted + int(others) > most:
        raise QuotaExceeded(
            f"{allotted} unit-seconds do not fit: the city's budget allows {most} to its"
            f" enterprises, the others have {others}; set at most {max(0, most - int(others))}",
            subject=city_node(city),
            reason="ABOVE_CITY_BUDGET",
        )


def _check_use(book: Book, key: Key, allotted: int | None, terms: CityTerms) -> None:
    """Refuse an allotment below what is in use."""
    budget = book.budgets.get(key)
    if budget is None or allotted is None or terms.terms.mode is Mode.OBSERVE:
        return
    if budget.allotted is not None and allotted >= budget.allotted:
        return
    least = budget.used + budget.given - budget.received
    if allotted < least:
        raise QuotaExceeded(
            f"{allotted} unit-seconds are less than {key[0]} uses, holds and lent of {key[1]} in"
            f" {key[2]}; set at least {least}, then nothing new starts",
            subject=key[0],
            reason="BUDGET_IN_USE",
        )
