"""Hours lent between cities: asked for or offered, agreed by the other side, repaid, forgiven.

Nothing is lent without the lender: its admin accepts what another asks for, or has set a standing
rule that does. Nobody owes without wanting to: what is offered the borrower's admin accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from quota import loans
from quota.budgets import CORRIDOR, Book, Key, city_node, enterprise_node
from quota.calendar import period_of
from quota.loans import Barred, Hindrance
from scheduler.domain.principal import Principal, Scope
from scheduler.errors import (
    Conflict,
    FieldViolation,
    Forbidden,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    WrongState,
)
from scheduler.store import (
    audit_trail,
    budget_book,
    budget_openings,
    budget_settings,
    loan_rules,
    scoping,
)
from scheduler.store.budget_book import CityTerms
from scheduler.store.quotas_telling import Change, check_corridor, check_flavor

PENDING = ("OFFERED", "REQUESTED")


@dataclass(frozen=True, slots=True)
class LoanRow:
    """A loan of unit-seconds and what became of it; ``decided_ms`` None while it waits."""

    loan_id: int
    lender: str
    borrower: str
    flavor: str
    period: str
    unit_seconds: int
    state: str
    by_rule: bool
    created_ms: int
    created_by: str
    reason: str
    decided_ms: int | None
    decided_by: str
    decision: str


@dataclass(frozen=True, slots=True)
class DebtRow:
    """What a node owes another of a flavor; the lender may be the corridor."""

    lender: str
    borrower: str
    flavor: str
    unit_seconds: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A loan that is asked for or offered, in the present period."""

    lender: str
    borrower: str
    flavor: str
    unit_seconds: int


_COLUMNS = (
    "loan_id, lender, borrower, flavor, period, unit_seconds, state, by_rule, created_ms,"
    " created_by, reason, decided_ms, decided_by, decision"
)


def _in_scope(scope: Scope) -> str:
    """Condition on loans of which a side is the caller's city."""
    return f"({scoping.cities(scope, 'lender')} OR {scoping.cities(scope, 'borrower')})"


def list_loans(
    connection: Connection, scope: Scope, states: Sequence[str], limit: int, before: int
) -> list[LoanRow]:
    """Return at most ``limit`` loans with an id below ``before`` (0: all), the newest first."""
    wanted = ", ".join(repr(state) for state in states if state.isalpha())
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM loan WHERE {_in_scope(scope)}"
            " AND (:before = 0 OR loan_id < :before)"
            + (f" AND state IN ({wanted})" if wanted else "")
            + " ORDER BY loan_id DESC LIMIT :limit"
        ),
        {"before": before, "limit": limit, **scoping.values(scope)},
    )
    return [_row(row) for row in rows]


def list_debts(connection: Connection, scope: Scope) -> list[DebtRow]:
    """Return what is owed by or to the caller's city or its enterprises, or by the enterprise."""
    within = "1 = 1"
    if scope.city is not None:
        own = "(SELECT 'enterprises/' || code FROM enterprise WHERE city = :scope_city)"
        within = f"(lender = :node OR borrower = :node OR borrower IN {own})"
    if scope.enterprise is not None:
        within = "borrower = :own"
    rows = connection.execute(
        text(
            "SELECT lender, borrower, flavor, unit_seconds FROM budget_debt WHERE unit_seconds > 0"
            f" AND {within} ORDER BY 1, 2, 3"
        ),
        {
            "node": city_node(scope.city or ""), "own": enterprise_node(scope.enterprise or ""),
            **scoping.values(scope),
        },
    )  # fmt: skip
    return [DebtRow(*row) for row in rows]


def get_loan(connection: Connection, scope: Scope, loan_id: int) -> LoanRow:
    """Return one loan; ``NotFound`` if there is none within the scope."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM loan WHERE loan_id = :id AND {_in_scope(scope)}"),
        {"id": loan_id, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no loan {loan_id} that you may see; `corridor loan list` shows them")
    return _row(row)


def _row(row: Row[Any]) -> LoanRow:
    values = list(row)
    values[7] = bool(values[7])
    return LoanRow(*values)


# --- agreeing -------------------------------------------------------------------------------------


def propose(connection: Connection, wanted: Proposal, change: Change) -> LoanRow:
    """Ask for a loan (as the borrower's admin) or offer one (as the lender's).

    What a standing rule of the lender allows, and it can spare, is lent at once. Raises
    ``Forbidden`` for another city's admin, ``WrongState`` if there are no budgets to lend between,
    ``QuotaExceeded`` above the debt cap, or for an offer above what can be spared.
    """
    check_flavor(connection, wanted.flavor)
    offers = change.actor.city == wanted.lender
    if not offers and change.actor.city != wanted.borrower:
        raise Forbidden(
            "a loan is asked for by the borrower's city admin or offered by the lender's",
            reason="NOT_A_PARTY",
        )
    lender, borrower, book = _load(connection, wanted, change.now_ms)
    found = loans.barred(book, lender, borrower, wanted.unit_seconds, change.now_ms)
    if found is not None and (offers or found.hindrance is not Hindrance.NOT_LENDABLE):
        raise _refusal(found, wanted.flavor)
    loan_id = connection.execute(
        text(
            "INSERT INTO loan (lender, borrower, flavor, period, unit_seconds, state, by_rule,"
            " created_ms, created_by, reason, decided_ms, decided_by, decision) VALUES (:lender,"
            " :borrower, :flavor, :period, :amount, :state, FALSE, :now, :by, :reason, NULL, '',"
            " '') RETURNING loan_id"
        ),
        {
            "lender": wanted.lender, "borrower": wanted.borrower, "flavor": wanted.flavor,
            "period": lender[2], "amount": wanted.unit_seconds,
            "state": "OFFERED" if offers else "REQUESTED", "now": change.now_ms,
            "by": change.actor.subject, "reason": change.reason,
        },
    ).scalar_one()  # fmt: skip
    loan = get_loan(connection, change.actor.scope, int(loan_id))
    _audit(connection, loan, "LOAN_OFFERED" if offers else "LOAN_REQUESTED", change)
    if not offers and found is None and loan_rules.allows(connection, loan):
        _lend(connection, loan, book, lender, borrower, change, by_rule=True)
    return get_loan(connection, change.actor.scope, loan.loan_id)


def accept(connection: Connection, loan_id: int, change: Change) -> LoanRow:
    """Agree to a loan, as the side that did not propose it; it is lent at once.

    Raises ``Forbidden`` for the other side, ``WrongState`` if it waits no more or its period is
    over, ``QuotaExceeded`` above what the lender can spare or the borrower may owe.
    """
    loan = _waiting(connection, change.actor, loan_id)
    side = loan.lender if loan.state == "REQUESTED" else loan.borrower
    if change.actor.city != side:
        raise Forbidden(f"the admin of {side} accepts this loan", reason="NOT_THE_OTHER_SIDE")
    wanted = Proposal(loan.lender, loan.borrower, loan.flavor, loan.unit_seconds)
    lender, borrower, book = _load(connection, wanted, change.now_ms)
    if lender[2] != loan.period:
        raise WrongState(
            f"loan {loan_id} was for {loan.period}, which is over; ask anew",
            subject=f"loans/{loan_id}",
        )
    _lend(connection, loan, book, lender, borrower, change, by_rule=False)
    return get_loan(connection, change.actor.scope, loan_id)


def decline(connection: Connection, loan_id: int, change: Change) -> LoanRow:
    """Refuse a loan, or take one's own proposal back; either side may."""
    loan = _waiting(connection, change.actor, loan_id)
    _decide(connection, loan, "DECLINED", change, by_rule=False)
    _audit(connection, loan, "LOAN_DECLINED", change)
    return get_loan(connection, change.actor.scope, loan_id)


def _waiting(connection: Connection, actor: Principal, loan_id: int) -> LoanRow:
    budget_book.lock_terms(connection)  # nobody else decides on it now
    loan = get_loan(connection, actor.scope, loan_id)
    if loan.state not in PENDING:
        raise WrongState(
            f"loan {loan_id} is {loan.state} and waits for nobody", subject=f"loans/{loan_id}"
        )
    return loan


def _load(connection: Connection, wanted: Proposal, now_ms: int) -> tuple[Key, Key, Book]:
    """Return (lender's budget, borrower's, the book), with all budgets locked against others."""
    terms: dict[str, CityTerms] = {}
    for city in sorted((wanted.lender, wanted.borrower)):
        terms = budget_settings.terms_to_change(connection, city, now_ms, make=False)
    periods = [
        period_of(now_ms, terms[city].terms.months) for city in (wanted.lender, wanted.borrower)
    ]
    if periods[0] != periods[1]:
        raise WrongState(
            f"{wanted.lender} has budgets of {periods[0]}, {wanted.borrower} of {periods[1]}: hours"
            " are lent between periods of the same length only",
            subject=city_node(wanted.lender),
            reason="OTHER_PERIODS",
        )
    nodes = [city_node(wanted.lender), city_node(wanted.borrower)]
    book = budget_book.load(connection, terms, nodes=nodes, since_ms=now_ms)
    lender, borrower = ((node, wanted.flavor, periods[0]) for node in nodes)
    return lender, borrower, book


def _lend(
    connection: Connection,
    loan: LoanRow,
    book: Book,
    lender: Key,
    borrower: Key,
    change: Change,
    *,
    by_rule: bool,
) -> None:
    found = loans.lend(book, lender, borrower, loan.unit_seconds, change.now_ms)
    if found is not None:
        raise _refusal(found, loan.flavor)
    budget_book.write(connection, book, change.now_ms)
    _decide(connection, loan, "ACCEPTED", change, by_rule=by_rule)
    _audit(connection, loan, "LOAN_ACCEPTED", change, by_rule=by_rule)
    budget_openings.tell(connection, {loan.lender, loan.borrower}, change.now_ms)


def _decide(
    connection: Connection, loan: LoanRow, state: str, change: Change, *, by_rule: bool
) -> None:
    changed = connection.execute(
        text(
            "UPDATE loan SET state = :state, by_rule = :rule, decided_ms = :now, decided_by = :by,"
            " decision = :why WHERE loan_id = :id AND state = :was"
        ),
        {
            "state": state, "rule": by_rule, "now": change.now_ms, "id": loan.loan_id,
            "by": f"rule of {loan.lender}" if by_rule else change.actor.subject,
            "why": "" if by_rule else change.reason, "was": loan.state,
        },
    )  # fmt: skip
    if changed.rowcount != 1:
        raise Conflict(f"loan {loan.loan_id} was decided at this moment; look at it again")


def _refusal(found: Barred, flavor: str) -> QuotaExceeded | WrongState:
    node, most = found.node, found.most
    if found.hindrance is Hindrance.NO_BUDGET:
        return WrongState(
            f"{node} has no limited budget of {flavor} now; there is nothing to lend or to owe",
            subject=node,
            reason=str(found.hindrance),
        )
    what = "can spare" if found.hindrance is Hindrance.NOT_LENDABLE else "may still owe"
    return QuotaExceeded(
        f"{node} {what} at most {most} unit-seconds of {flavor}; make the loan smaller",
        subject=node,
        reason=str(found.hindrance),
    )


# --- debts ----------------------------------------------------------------------------------------


def forgive(connection: Connection, debt: DebtRow, change: Change) -> DebtRow:
    """Let a borrower off so much of a debt; returns what is left of it.

    Raises ``NotFound`` for a debt there is not, ``InvalidRequest`` for more than is owed.
    """
    check_corridor(change.actor.scope, "debt")
    budget_book.lock_terms(connection)
    key = (debt.lender, debt.borrower, debt.flavor)
    owed = connection.execute(
        text(
            "SELECT unit_seconds FROM budget_debt WHERE lender = :lender AND borrower = :borrower"
            " AND flavor = :flavor AND unit_seconds > 0"
        ),
        {"lender": debt.lender, "borrower": debt.borrower, "flavor": debt.flavor},
    ).scalar()
    if owed is None:
        raise NotFound(f"{debt.borrower} owes {debt.lender} nothing of {debt.flavor}")
    if debt.unit_seconds > owed:
        what = f"must be 1..{owed}, what is owed, not {debt.unit_seconds}"
        raise InvalidRequest([FieldViolation("unit_seconds", what)])
    book = Book({}, debts={key: int(owed)})
    left = loans.forgive(book, key, debt.unit_seconds)
    budget_book.write(connection, book, change.now_ms)
    borrower = debt.borrower.removeprefix("cities/")
    audit_trail.record(
        connection, change.actor, "DEBT_FORGIVEN", f"{debt.borrower}/debts/{debt.flavor}",
        at_ms=change.wall_ms, before={"lender": debt.lender, "unit_seconds": int(owed)},
        after={"lender": debt.lender, "unit_seconds": left}, reason=change.reason,
        city="" if "/" in borrower else borrower,
    )  # fmt: skip
    return DebtRow(*key, left)


def lender_node(lender: str) -> str:
    """Return the node of a lender: a city, or the corridor for what was used beyond a budget."""
    return CORRIDOR if lender == CORRIDOR else city_node(lender)


def borrower_node(borrower: str) -> str:
    """Return the node of a borrower, which may be given as a city's code or as a node."""
    return borrower if "/" in borrower else city_node(borrower)


def _audit(
    connection: Connection, loan: LoanRow, action: str, change: Change, *, by_rule: bool = False
) -> None:
    for city in (loan.lender, loan.borrower):
        audit_trail.record(
            connection, change.actor, action, f"loans/{loan.loan_id}", at_ms=change.wall_ms,
            after={
                "lender": loan.lender, "borrower": loan.borrower, "flavor": loan.flavor,
                "period": loan.period, "unit_seconds": loan.unit_seconds, "by_rule": by_rule,
            },
            reason=change.reason, city=city,
        )  # fmt: skip
