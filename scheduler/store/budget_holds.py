"""Unit-seconds held for runs before they start and settled at their end: set-based, each once.

``Budgets`` weighs a batch of starts in memory, in the transaction that admits them; where no city
has budgets it costs one look at a small table. ``settle`` counts what was used, in the transaction
that settles the money.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota import budget_periods
from quota.budgets import Book, Held, Part, Refused, Use, Wanted, city_node, enterprise_node
from quota.calendar import period_bounds
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.store import budget_book, budget_openings, paying
from scheduler.store.budget_tables import BudgetHold
from scheduler.store.database import among, bulk_insert, bulk_read, bulk_update
from scheduler.store.tables import table

RunKey = tuple[int, int]

_HOLD_COLUMNS: Final = (
    "job_uid", "attempt", "part", "city", "enterprise", "flavor", "period", "unit_seconds",
    "background", "created_ms",
)  # fmt: skip


class PartOutlook(NamedTuple):
    """What a run would hold of one period, and what either budget would have free then.

    None is free where there is no limit; below zero where the terms allow it.
    """

    period: str
    unit_seconds: int
    enterprise_free: int | None
    city_free: int | None


class Outlook(NamedTuple):
    """What a run would hold; nothing where its city has no budgets."""

    parts: tuple[PartOutlook, ...] = ()
    background: bool = False


class Budgets:
    """What the budgets of a batch's cities and enterprises can still give."""

    def __init__(self, book: Book, now_ms: int) -> None:
        self._book, self._now_ms = book, now_ms
        self._held: dict[RunKey, tuple[Wanted, Held]] = {}

    def take(self, one: paying.Wanted) -> PendingReason | None:
        """Hold for a run; the reason if it may not. A city without budgets holds nothing."""
        if not self._bound(one.city):
            return None
        wanted = _wanted(one)
        found = self._book.take(wanted, self._now_ms)
        if isinstance(found, Refused):
            return _reason(found, wanted)
        self._held[one.uid, one.attempt] = (wanted, found)
        return None

    def fits(self, one: paying.Wanted) -> bool:
        """Whether ``take`` would hold."""
        if not self._bound(one.city):
            return True
        return isinstance(self._book.look(_wanted(one), self._now_ms), Held)

    def look(self, one: paying.Wanted, at_ms: int) -> Outlook | PendingReason:
        """Say what ``take`` would do at an instant, if nothing else were held until then."""
        if not self._bound(one.city):
            return Outlook()
        wanted = _wanted(one)
        found = self._book.look(wanted, at_ms)
        if isinstance(found, Refused):
            return _reason(found, wanted)
        return Outlook(tuple(self._outlook(wanted, part) for part in found.parts), found.background)

    def _outlook(self, wanted: Wanted, part: Part) -> PartOutlook:
        enterprise, city = (
            self._book.budgets[node, wanted.flavor, part.period].free for node in wanted.nodes
        )
        amount = part.unit_seconds
        return PartOutlook(
            part.period, amount, None if enterprise is None else enterprise - amount,
            None if city is None else city - amount,
        )  # fmt: skip

    def put_back(self, key: RunKey) -> None:
        """Undo ``take``, if it held anything."""
        found = self._held.pop(key, None)
        if found is not None:
            self._book.put_back(*found)

    def is_background(self, key: RunKey) -> bool:
        """Whether a run was admitted below zero."""
        return key in self._held and self._held[key][1].background

    def write(self, connection: Connection) -> None:
        """Write what was taken; raises RuntimeError if a budget moved beside this transaction."""
        rows: list[tuple[object, ...]] = []
        for (uid, attempt), (wanted, held) in self._held.items():
            self._book.note_hold(wanted, held, uid, attempt)
            rows += [
                (
                    uid, attempt, number, wanted.city, wanted.enterprise, wanted.flavor, period,
                    amount, held.background, self._now_ms,
                )
                for number, (period, amount) in enumerate(held.parts)
            ]  # fmt: skip
        budget_book.write(connection, self._book, self._now_ms)
        bulk_insert(connection, table(BudgetHold), _HOLD_COLUMNS, rows)

    def _bound(self, city: str) -> bool:
        terms = self._book.terms.get(city)
        return terms is not None and terms.enabled


def _wanted(one: paying.Wanted) -> Wanted:
    return Wanted(one.city, one.enterprise, one.flavor, one.units, one.wall_limit_s)


def load(connection: Connection, runs: Collection[tuple[str, str]], now_ms: int) -> Budgets:
    """Load the budgets of (city, enterprise) pairs; a period that has begun is opened first.

    Nobody else changes budgets until the transaction ends.
    """
    terms = budget_book.lock_terms(connection)
    cities = {city for city, _ in runs if city in terms and terms[city].terms.enabled}
    if not cities:
        return Budgets(Book({}), now_ms)
    if budget_openings.any_due(terms, now_ms):
        budget_openings.open_due(connection, now_ms)
    nodes = {city_node(city) for city in cities}
    nodes |= {enterprise_node(enterprise) for city, enterprise in runs if city in cities}
    return Budgets(budget_book.load(connection, terms, nodes=nodes, since_ms=now_ms), now_ms)


def foresee(connection: Connection, home: tuple[str, str], now_ms: int) -> Budgets:
    """Load the budgets of a (city, enterprise) to ``look`` at alone; nothing is written.

    A period that has begun and that nobody opened yet is opened in memory.
    """
    terms = budget_book.read_terms(connection)
    city, enterprise = home
    if city not in terms or not terms[city].terms.enabled:
        return Budgets(Book({}), now_ms)
    book = budget_openings.opened_book(connection, terms, now_ms)
    if book is None:
        nodes = {city_node(city), enterprise_node(enterprise)}
        book = budget_book.load(connection, terms, nodes=nodes, since_ms=now_ms)
    return Budgets(book, now_ms)


def _reason(found: Refused, wanted: Wanted) -> PendingReason:
    return PendingReason(
        ReasonCode(found.bar.value), found.node, wanted.flavor, limit=found.limit,
        used=found.used, requested=found.requested, short_by=found.short_by,
        next_event_ms=found.next_event_ms,
    )  # fmt: skip


def settle(
    connection: Connection, ended: Mapping[RunKey, Sequence[Usage]], now_ms: int
) -> set[str]:
    """Count the use of runs (none for those that are not billed) and free the rest of their holds.

    Runs without an open hold are left alone. Returns the cities that have more free than before.
    Nobody else changes budgets until the transaction ends.
    """
    if not ended:
        return set()
    terms = budget_book.lock_terms(connection)
    if not terms:
        return set()
    holds = _open_holds(connection, ended)
    if not holds:
        return set()
    first_ms = min(period_bounds(part.period)[0] for _, parts in holds.values() for part in parts)
    nodes = {node for wanted, _ in holds.values() for node in wanted.nodes}
    book = budget_book.load(connection, terms, nodes=nodes, since_ms=first_ms)
    rows: list[tuple[object, ...]] = []
    for key, (wanted, parts) in holds.items():
        uses = [Use(use.start_ms, use.end_ms, use.units) for use in ended[key]]
        used, _ = budget_periods.settle(book, wanted, parts, uses, key)
        rows += [(*key, number, amount, now_ms) for number, amount in enumerate(used)]
    changed = bulk_update(
        connection,
        "UPDATE budget_hold SET used_unit_seconds = v.column4, settled_ms = v.column5"
        " FROM {values} WHERE job_uid = v.column1 AND attempt = v.column2 AND part = v.column3"
        " AND used_unit_seconds IS NULL",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError("a budget hold was settled beside this transaction")
    return budget_book.write(connection, book, now_ms)


def _open_holds(
    connection: Connection, keys: Collection[RunKey]
) -> dict[RunKey, tuple[Wanted, list[Part]]]:
    holds: dict[RunKey, tuple[Wanted, list[Part]]] = {}
    of_runs, values = among(connection, "job_uid", sorted({uid for uid, _ in keys}))
    for uid, attempt, city, enterprise, flavor, period, amount in bulk_read(
        connection,
        "SELECT job_uid, attempt, city, enterprise, flavor, period, unit_seconds FROM budget_hold"
        f" WHERE {of_runs} AND used_unit_seconds IS NULL ORDER BY job_uid, attempt, part",
        values,
    ):
        key = (uid, attempt)
        if key in keys:
            found = holds.setdefault(key, (Wanted(city, enterprise, flavor, 0, 0), []))
            found[1].append(Part(period, amount))
    return holds
