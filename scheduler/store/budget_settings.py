"""How a city's budgets work: shown, and set under an etag.

What binds the city to the corridor is set by an operator; how it divides its budget between its
enterprises is the city admin's to say.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from quota.budgets import Book, Terms
from scheduler.domain.events import EventKind
from scheduler.domain.principal import Role, Scope
from scheduler.errors import Forbidden, NotFound, WrongState
from scheduler.store import budget_book, budget_moves, budget_openings, scoping
from scheduler.store.budget_book import CityTerms
from scheduler.store.database import bulk_execute
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_city,
    check_etag,
    check_written,
    tell,
)

#: What a city admin may set.
_OF_CITY: Final = frozenset({"enterprises_free", "omega_bps"})


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """A city's terms; the etag is empty and ``enabled`` false where budgets were never set."""

    city: str
    terms: Terms
    etag: str
    updated_ms: int


def get_settings(connection: Connection, scope: Scope, city: str) -> SettingsRow:
    """Return a city's terms; ``NotFound`` for a city outside the scope."""
    row = connection.execute(
        text(
            f"SELECT c.code FROM city c WHERE c.code = :city AND {scoping.cities(scope, 'c.code')}"
        ),
        {"city": city, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no city {city!r} that you may see; `corridor city list` shows all")
    return _read(connection, city)


def update_settings(connection: Connection, city: str, terms: Terms, change: Change) -> SettingsRow:
    """Set a city's terms; an empty etag sets them the first time.

    Raises ``NotFound`` for a city outside the scope, ``Conflict`` for a stale etag, ``Forbidden``
    for what only an operator may change.
    """
    check_city(connection, change.actor.scope, city)
    budget_book.lock_terms(connection)
    before = _read(connection, city)
    check_etag(change.etag, before.etag, f"the budget settings of {city}")
    changed = {
        name for name, value in terms._asdict().items() if value != getattr(before.terms, name)
    }
    if change.actor.role is not Role.OPERATOR and changed - _OF_CITY:
        raise Forbidden(
            f"only an operator changes {', '.join(sorted(changed - _OF_CITY))} of a city's budgets",
            reason="OPERATOR_SETTING",
        )
    if not before.etag:
        _make(connection, city, terms, change.now_ms)
    written = connection.execute(
        text(
            f"UPDATE budget_city SET {', '.join(f'{name} = :{name}' for name in Terms._fields)},"
            " opened_until_ms = CASE WHEN months = :months THEN opened_until_ms ELSE 0 END,"
            " version = version + 1, updated_ms = :now WHERE city = :city AND version = :version"
        ),
        {
            **terms._asdict(), "mode": str(terms.mode), "now": change.now_ms, "city": city,
            "version": int(before.etag or 0),
        },
    )  # fmt: skip
    check_written(written.rowcount, f"the budget settings of {city}")
    budget_moves.follow(connection, change.now_ms)
    budget_openings.open_due(connection, change.now_ms)
    _widen(connection, city, change.now_ms)
    tell(
        connection,
        Told(
            EventKind.BUDGET_CHANGED, f"cities/{city}/budget-settings", city, "", "",
            _figures(before.terms) if before.etag else None, _figures(terms),
        ),
        change,
    )  # fmt: skip
    return _read(connection, city)


def terms_to_change(
    connection: Connection, city: str, now_ms: int, *, make: bool
) -> dict[str, CityTerms]:
    """Return all terms, with the periods of ``city`` opened and all locked against others.

    A city without budgets gets the default terms if ``make``, else ``WrongState``.
    """
    if city not in budget_book.lock_terms(connection):
        if not make:
            raise WrongState(
                f"city {city} has no budgets; an operator sets its first",
                subject=f"cities/{city}",
                reason="CITY_BUDGET_MISSING",
            )
        _make(connection, city, Terms(), now_ms)
        connection.execute(
            text("UPDATE budget_city SET version = 1 WHERE city = :city AND version = 0"),
            {"city": city},
        )
    budget_moves.follow(connection, now_ms)
    budget_openings.open_due(connection, now_ms)
    return budget_book.read_terms(connection)


def _make(connection: Connection, city: str, terms: Terms, now_ms: int) -> None:
    names = ", ".join(Terms._fields)
    marks = ", ".join(f":{name}" for name in Terms._fields)
    connection.execute(
        text(
            f"INSERT INTO budget_city (city, {names}, opened_until_ms, version, updated_ms)"
            f" VALUES (:city, {marks}, 0, 0, :now) ON CONFLICT (city) DO NOTHING"
        ),
        {**terms._asdict(), "mode": str(terms.mode), "city": city, "now": now_ms},
    )


def _widen(connection: Connection, city: str, now_ms: int) -> None:
    """Let the city's budgets go as far below zero as its terms say; what is below stays there."""
    terms = budget_book.read_terms(connection)
    enterprises = connection.execute(
        text("SELECT DISTINCT node FROM budget WHERE city = :city"), {"city": city}
    )
    nodes = {row[0] for row in enterprises}
    book: Book = budget_book.load(connection, terms, nodes=nodes)
    bulk_execute(
        connection,
        "UPDATE budget SET margin_unit_seconds = ? WHERE node = ? AND flavor = ? AND period = ?",
        [(budget_book.margin_of(book, key), *key) for key in sorted(book.budgets)],
    )


def _read(connection: Connection, city: str) -> SettingsRow:
    found = budget_book.read_terms(connection).get(city)
    if found is None:
        return SettingsRow(city, Terms(enabled=False), "", 0)
    version, updated_ms = connection.execute(
        text("SELECT version, updated_ms FROM budget_city WHERE city = :city"), {"city": city}
    ).one()
    return SettingsRow(city, found.terms, str(version), updated_ms)


def _figures(terms: Terms) -> dict[str, str | int | bool | None]:
    return {**terms._asdict(), "mode": str(terms.mode)}
