"""Standing rules: what a city lends without being asked each time. Set by its own admin alone."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, text

from scheduler.domain.principal import Scope
from scheduler.errors import FieldViolation, InvalidRequest, NotFound
from scheduler.store import audit_trail, catalog
from scheduler.store.quotas_telling import Change, check_etag, check_flavor, check_written


class Request(Protocol):
    """A loan that was asked for."""

    @property
    def lender(self) -> str: ...
    @property
    def borrower(self) -> str: ...
    @property
    def flavor(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def unit_seconds(self) -> int: ...


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What a city lends of a flavor: at most so much a loan and a period; no borrowers: to all.

    The etag is empty where no rule was set, which lends nothing by itself.
    """

    lender: str
    flavor: str
    borrowers: tuple[str, ...]
    loan_unit_seconds: int
    period_unit_seconds: int
    etag: str
    updated_ms: int


def get_rule(connection: Connection, scope: Scope, lender: str, flavor: str) -> RuleRow:
    """Return a city's rule; ``NotFound`` outside the scope."""
    if not scope.covers(lender, "") or not catalog.has_city(connection, lender):
        raise NotFound(f"no city {lender!r} that you may see; `corridor city list` shows all")
    check_flavor(connection, flavor)
    return _read(connection, lender, flavor)


def update_rule(connection: Connection, rule: RuleRow, change: Change) -> RuleRow:
    """Set the rule of the caller's own city; amounts of 0 lend nothing.

    Raises ``NotFound`` for another city, ``Conflict`` for a stale etag, ``InvalidRequest`` for a
    borrower that is no other city.
    """
    before = get_rule(connection, change.actor.scope, rule.lender, rule.flavor)
    check_etag(change.etag, before.etag, f"the loan rule of {rule.lender} for {rule.flavor}")
    cities = {row.city for row in catalog.cities(connection)} - {rule.lender}
    wrong = sorted(set(rule.borrowers) - cities)
    if wrong:
        known = ", ".join(sorted(cities))
        what = f"unknown {', '.join(wrong)}; the other cities are {known}"
        raise InvalidRequest([FieldViolation("rule.borrowers", what)])
    written = connection.execute(
        text(
            "INSERT INTO loan_rule (lender, flavor, borrowers, loan_unit_seconds,"
            " period_unit_seconds, version, updated_ms) VALUES (:lender, :flavor, :borrowers,"
            " :loan, :period, 1, :now) ON CONFLICT (lender, flavor) DO UPDATE SET"
            " borrowers = excluded.borrowers, loan_unit_seconds = excluded.loan_unit_seconds,"
            " period_unit_seconds = excluded.period_unit_seconds, version = loan_rule.version + 1,"
            " updated_ms = excluded.updated_ms WHERE loan_rule.version = :version"
        ),
        {
            "lender": rule.lender, "flavor": rule.flavor,
            "borrowers": ",".join(sorted(set(rule.borrowers))), "loan": rule.loan_unit_seconds,
            "period": rule.period_unit_seconds, "now": change.now_ms,
            "version": int(before.etag or 0),
        },
    )  # fmt: skip
    check_written(written.rowcount, f"the loan rule of {rule.lender} for {rule.flavor}")
    audit_trail.record(
        connection, change.actor, "LOAN_RULE_CHANGED", f"cities/{rule.lender}/loans/{rule.flavor}",
        at_ms=change.wall_ms, before=_figures(before) if before.etag else None,
        after=_figures(rule), reason=change.reason, city=rule.lender,
    )  # fmt: skip
    return _read(connection, rule.lender, rule.flavor)


def allows(connection: Connection, loan: Request) -> bool:
    """Whether the lender's rule agrees to a loan, with what it agreed to in this period."""
    rule = _read(connection, loan.lender, loan.flavor)
    if rule.borrowers and loan.borrower not in rule.borrowers:
        return False
    if loan.unit_seconds > rule.loan_unit_seconds:
        return False
    lent = connection.execute(
        text(
            "SELECT coalesce(sum(unit_seconds), 0) FROM loan WHERE lender = :lender"
            " AND flavor = :flavor AND period = :period AND by_rule AND state = 'ACCEPTED'"
        ),
        {"lender": loan.lender, "flavor": loan.flavor, "period": loan.period},
    ).scalar_one()
    return int(lent) + loan.unit_seconds <= rule.period_unit_seconds


def _read(connection: Connection, lender: str, flavor: str) -> RuleRow:
    row = connection.execute(
        text(
            "SELECT borrowers, loan_unit_seconds, period_unit_seconds, version, updated_ms"
            " FROM loan_rule WHERE lender = :lender AND flavor = :flavor"
        ),
        {"lender": lender, "flavor": flavor},
    ).first()
    if row is None:
        return RuleRow(lender, flavor, (), 0, 0, "", 0)
    borrowers = tuple(row.borrowers.split(",")) if row.borrowers else ()
    return RuleRow(
        lender, flavor, borrowers, row.loan_unit_seconds, row.period_unit_seconds,
        str(row.version), row.updated_ms,
    )  # fmt: skip


def _figures(rule: RuleRow) -> dict[str, str | int | bool | None]:
    return {
        "borrowers": ",".join(rule.borrowers),
        "loan_unit_seconds": rule.loan_unit_seconds,
        "period_unit_seconds": rule.period_unit_seconds,
    }
