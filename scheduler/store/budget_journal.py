"""The journal of budgets replayed: it must give every budget, hold and debt as they stand.

Within a city's scope the journal is read and compared as far as it is about the city, about the
enterprises that belong to it now, or about what they lent, owe and are owed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from quota.budgets import Book, Budget, Debt, Entry, Key, Kind, city_node, enterprise_node
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import budget_book
from scheduler.store.database import bulk_read

_PROBLEMS_MAX: Final = 20
_FIGURES: Final = ("allotted", "held", "settled", "received", "given", "opened")
_BLOCK: Final = 10_000


@dataclass(frozen=True, slots=True)
class BudgetVerification:
    """What was checked, and what is wrong (at most the first 20 things)."""

    entries: int
    budgets: int
    open_holds: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all holds."""
        return not self.problems


def verify(connection: Connection, scope: Scope = EVERYTHING) -> BudgetVerification:
    """Recompute a scope's budgets from the first entry and compare them with what is stored."""
    nodes = _nodes(connection, scope)
    replayed, count = _replay(connection, nodes)
    stored = budget_book.load(connection, budget_book.read_terms(connection))
    _keep(replayed, nodes)
    _keep(stored, nodes)
    problems = _differences(replayed.budgets, stored.budgets)
    for debt in sorted(set(replayed.debts) | set(stored.debts)):
        ought, has = replayed.debts.get(debt, 0), stored.debts.get(debt, 0)
        if ought != has:
            lender, borrower, flavor = debt
            problems.append(f"{borrower} owes {lender} {has} of {flavor}, the journal says {ought}")
    holds, wrong = _holds(connection, stored.budgets, nodes)
    problems += wrong
    problems += [
        f"{' '.join(key)}: a figure is below zero"
        for key, budget in sorted(stored.budgets.items())
        if min(budget.held, budget.settled, budget.received, budget.given) < 0
    ]
    return BudgetVerification(count, len(stored.budgets), holds, tuple(problems[:_PROBLEMS_MAX]))


def _nodes(connection: Connection, scope: Scope) -> Collection[str] | None:
    """The nodes whose books a scope may see; None for all."""
    if scope == EVERYTHING:
        return None
    found = bulk_read(connection, "SELECT code FROM enterprise WHERE city = ?", (scope.city or "",))
    return {city_node(scope.city or ""), *(enterprise_node(code) for (code,) in found)}


def _keep(book: Book, nodes: Collection[str] | None) -> None:
    """Forget what is not of these nodes."""
    if nodes is None:
        return

    def concerns(debt: Debt) -> bool:
        return debt[0] in nodes or debt[1] in nodes

    book.budgets = {key: budget for key, budget in book.budgets.items() if key[0] in nodes}
    book.debts = {debt: amount for debt, amount in book.debts.items() if concerns(debt)}


def _replay(connection: Connection, nodes: Collection[str] | None) -> tuple[Book, int]:
    book, after, count = Book({}), 0, 0
    values = () if nodes is None else tuple(sorted(nodes)) * 3
    marks = ", ".join("?" * (len(values) // 3))
    among = f" AND (node IN ({marks}) OR parent IN ({marks}) OR other IN ({marks}))"
    while True:
        rows = bulk_read(
            connection,
            "SELECT seq, kind, node, flavor, period, held_unit_seconds, settled_unit_seconds,"
            " received_unit_seconds, given_unit_seconds, debt_unit_seconds, other, parent,"
            f" allotted_unit_seconds FROM budget_entry WHERE seq > {after}"
            f"{'' if nodes is None else among} ORDER BY seq LIMIT {_BLOCK}",
            values,
        )
        if not rows:
            return book, count
        for _, kind, *figures in rows:
            book.apply(Entry(Kind(kind), *figures))
        after, count = rows[-1][0], count + len(rows)


def _differences(ought: Mapping[Key, Budget], stored: Mapping[Key, Budget]) -> list[str]:
    problems: list[str] = []
    for key in sorted(set(ought) | set(stored)):
        one, other = ought.get(key), stored.get(key)
        if one is None or other is None:
            there = "the journal" if other is None else "the table"
            problems.append(f"{' '.join(key)} is in {there} alone")
            continue
        problems += [
            f"{' '.join(key)}: {name} is {getattr(other, name)}, the journal says"
            f" {getattr(one, name)}"
            for name in _FIGURES
            if getattr(one, name) != getattr(other, name)
        ]
    return problems


def _holds(
    connection: Connection, budgets: Mapping[Key, Budget], nodes: Collection[str] | None
) -> tuple[int, list[str]]:
    """Compare H with the open holds and S with what the settled ones used, at both levels."""
    sums: dict[Key, list[int]] = {}
    count = 0
    for city, enterprise, flavor, period, held, used, open_holds in bulk_read(
        connection,
        "SELECT city, enterprise, flavor, period,"
        " sum(CASE WHEN used_unit_seconds IS NULL THEN unit_seconds ELSE 0 END),"
        " sum(coalesce(used_unit_seconds, 0)),"
        " sum(CASE WHEN used_unit_seconds IS NULL THEN 1 ELSE 0 END)"
        " FROM budget_hold GROUP BY city, enterprise, flavor, period",
    ):
        owners = city_node(city), enterprise_node(enterprise)
        if nodes is None or any(node in nodes for node in owners):
            count += int(open_holds)
        for node in owners:
            found = sums.setdefault((node, flavor, period), [0, 0])
            found[0] += int(held)
            found[1] += int(used)
    problems = []
    for key, budget in sorted(budgets.items()):
        held, used = sums.get(key, [0, 0])
        if budget.city and (budget.held, budget.settled) != (held, used):
            problems.append(
                f"{' '.join(key)}: holds {budget.held} and used {budget.settled}, its runs hold"
                f" {held} and used {used}"
            )
    return count, problems
